"""The session file: with it, the bot stays one device on the homeserver over all restarts (contract L2).

The bot chooses its device id and writes it to `session.json` *before* the login request. So a bot that is killed
between the homeserver's answer and the second write logs in again as the same device. Such a session without a token
protects nothing else: any other account may replace it (contract L12), and keeps its device id.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from machines.ids import DeviceId, UserId
from matrix.errors import SessionMismatch, SessionUnusable

SESSION_FILE = "session.json"
_TEMPORARY_FILE = "session.tmp"
_BEGINNING = b'{\n  "homeserver": '
_DEVICE_ID_BYTES = 5


@dataclass(frozen=True, slots=True)
class Account:
    """The configured account (contract E1, E2): one of `password` and `access_token` is set."""

    homeserver: str
    user_id: UserId
    store_path: Path
    password: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """The content of `session.json`; `access_token` is `None` until the first login was answered."""

    homeserver: str
    user_id: UserId
    device_id: DeviceId
    access_token: str | None = field(default=None, repr=False)

    @classmethod
    def begin(cls, account: Account, device_id: DeviceId | None = None) -> Self:
        """Return a new session for an account; without `device_id`, choose a new one."""
        return cls(
            homeserver=_plain(account.homeserver),
            user_id=account.user_id,
            device_id=device_id or DeviceId(secrets.token_hex(_DEVICE_ID_BYTES).upper()),
        )

    @property
    def logged_in(self) -> bool:
        """Whether a login was answered; before that, the homeserver may not even know the user."""
        return self.access_token is not None

    def belongs_to(self, account: Account) -> bool:
        """Whether this is a session of the configured account, logged in or not."""
        return (self.user_id, self.homeserver) == (account.user_id, _plain(account.homeserver))

    def check(self, account: Account) -> None:
        """Check that the configured account may use or replace this session.

        Raises:
            SessionMismatch: it was logged in as another user, or at another homeserver, than the configured one.
        """
        if not self.logged_in:
            return
        for what, stored, configured in (
            ("user", self.user_id, account.user_id),
            ("homeserver", self.homeserver, _plain(account.homeserver)),
        ):
            if stored != configured:
                raise SessionMismatch(
                    f"{account.store_path / SESSION_FILE} belongs to the {what} {stored}, but"
                    f" {configured} is configured: correct the configuration, or, for another"
                    " account, set MATRIX_STORE_PATH and MATRIX_DB_PATH to other paths"
                )


def is_own_file_of_store(name: str, content: bytes) -> bool:
    """Whether this package wrote a file of a store directory (contract X7).

    The temporary file may be cut off anywhere, if its writer was killed.
    """
    if name == SESSION_FILE:
        return _parse(content) is not None
    whole = content[: len(_BEGINNING)]
    return name == _TEMPORARY_FILE and _BEGINNING.startswith(whole)


def _parse(content: bytes) -> StoredSession | None:
    try:
        return msgspec.json.decode(content, type=StoredSession)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _plain(homeserver: str) -> str:
    return homeserver.rstrip("/").lower()


class SessionFile:
    """`session.json` in a store directory; every write replaces the whole file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / SESSION_FILE

    def read(self) -> StoredSession | None:
        """Return the stored session, `None` when there is none.

        Raises:
            SessionUnusable: the file can't be read, or is not a session file of this bot.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise SessionUnusable(f"{self._path} can't be read: {cause.strerror}") from cause
        session = _parse(content)
        if session is None:
            raise SessionUnusable(
                f"{self._path} is not a session of this bot: move it away, or set MATRIX_STORE_PATH"
                " to another directory"
            )
        return session

    def write(self, session: StoredSession) -> None:
        """Write a session durably: after a crash the file is the old one or the new one.

        Raises:
            SessionUnusable: the directory can't be written.
        """
        temporary = self._path.with_name(_TEMPORARY_FILE)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(session), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            _fsync_directory(self._directory)
        except OSError as cause:
            raise SessionUnusable(
                f"{self._path} can't be written: {cause.strerror}; free space on its disk or correct"
                " its permissions, and start again"
            ) from cause


def _fsync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

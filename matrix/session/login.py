"""Logs in so that the device stays the same (contracts L2, L10, E1).

The stored token is tried first. Where the homeserver ended the session softly, or a login was interrupted, the bot logs
in with its password under the stored device id. Where the homeserver ended it for good, the device is gone. This is an
error and creates no second device: the operator decides what happens next. A stored session that was never logged in
is replaced when another account is configured.
"""

from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread

from machines.errors import CredentialsRefused
from machines.ids import DeviceId, UserId
from matrix.errors import RequestRefused, SessionMismatch
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.raw_events import as_dict
from matrix.session.file import SESSION_FILE, Account, SessionFile, StoredSession

DEVICE_NAME = "surfaces-bot"


@dataclass(frozen=True, slots=True)
class Session:
    """The bot's user and device on the homeserver; the access token stays inside `matrix`."""

    user_id: UserId
    device_id: DeviceId


class Authenticator:
    """Provides the transport with a valid token."""

    def __init__(self, account: Account, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._file = SessionFile(account.store_path)
        self._one_at_a_time = anyio.Lock()

    async def login(self) -> Session:
        """Use the stored session, or log in with the same device.

        Of several concurrent callers one logs in, and the others use its session: a second login of a device ends the
        token of the first.

        Raises:
            CredentialsRefused: the homeserver does not accept the configured or stored credentials.
            SessionUnusable: the stored session belongs to another account, or can't be read or written.
        """
        async with self._one_at_a_time:
            return await self._login()

    async def _login(self) -> Session:
        stored = await anyio.to_thread.run_sync(self._file.read)
        if stored is not None:
            stored.check(self._account)
        if self._account.access_token is not None:
            session = await self._with_configured_token(stored, self._account.access_token)
        elif stored is not None and await self._is_valid(stored):
            session = stored
        else:
            session = await self._with_password(stored)
        assert session.access_token is not None
        self._transport.use_token(session.access_token)
        return Session(session.user_id, session.device_id)

    async def _with_configured_token(
        self, stored: StoredSession | None, token: str
    ) -> StoredSession:
        try:
            device_id = await self._device_of(token)
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"the homeserver does not accept MATRIX_ACCESS_TOKEN ({refused.errcode}):"
                " set a valid token, or MATRIX_PASSWORD instead"
            ) from refused
        if device_id is None:
            raise CredentialsRefused(
                "MATRIX_ACCESS_TOKEN belongs to no device: use the token of a login"
            )
        if stored is not None and stored.logged_in and stored.device_id != device_id:
            raise SessionMismatch(
                f"{self._account.store_path / SESSION_FILE} belongs to the device"
                f" {stored.device_id}, but MATRIX_ACCESS_TOKEN to {device_id}: configure the token"
                " of that device, or set MATRIX_STORE_PATH to another directory"
            )
        session = replace(StoredSession.begin(self._account, device_id), access_token=token)
        if session != stored:
            await self._store(session)
        return session

    async def _is_valid(self, stored: StoredSession) -> bool:
        """Whether the stored token works; false means that a new login is allowed (contract L10)."""
        if stored.access_token is None:
            return False
        try:
            await self._device_of(stored.access_token)
        except RequestRefused as refused:
            if refused.soft_logout:
                return False
            raise CredentialsRefused(
                f"the homeserver ended the session of device {stored.device_id} for good"
                f" ({refused.errcode}): to log in as a new device, run `surfaces-bot reset`"
                " and start again"
            ) from refused
        return True

    async def _device_of(self, token: str) -> DeviceId | None:
        request = Request("GET", client_path("account", "whoami"), token=token, retry_forever=True)
        whoami = as_dict(await self._transport.request(request))
        user_id = whoami.get("user_id")
        if user_id != self._account.user_id:
            raise CredentialsRefused(
                f"the access token belongs to {user_id}, but MATRIX_USER_ID is"
                f" {self._account.user_id}: set the one that fits the other"
            )
        device_id = whoami.get("device_id")
        return DeviceId(device_id) if isinstance(device_id, str) else None

    async def _with_password(self, stored: StoredSession | None) -> StoredSession:
        if self._account.password is None:
            raise CredentialsRefused("a new login is needed, but MATRIX_PASSWORD is not set")
        # Another account keeps the device id: when the first one is configured again, it is still the same device.
        session = StoredSession.begin(self._account, stored.device_id if stored else None)
        if stored is None or not stored.belongs_to(self._account):
            await self._store(session)
        login = await request_login(
            self._transport, self._account, DEVICE_NAME, device_id=session.device_id, retry=True
        )
        token = login.get("access_token")
        if not isinstance(token, str):
            raise CredentialsRefused("the homeserver answered the login without an access token")
        if login.get("user_id") != session.user_id:
            raise wrong_user(login, session.user_id)
        session = replace(session, access_token=token)
        await self._store(session)
        return session

    async def _store(self, session: StoredSession) -> None:
        await anyio.to_thread.run_sync(self._file.write, session)


async def request_login(
    transport: Transport,
    account: Account,
    device_name: str,
    *,
    device_id: DeviceId | None = None,
    retry: bool,
) -> dict[str, Any]:
    """Log in with the password and return the homeserver's answer.

    Raises:
        CredentialsRefused: the homeserver refuses the login.
        Unreachable: no answer, and `retry` is false.
    """
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": account.user_id},
        "password": account.password,
        "initial_device_display_name": device_name,
    }
    if device_id is not None:
        body["device_id"] = device_id
    request = Request(
        "POST",
        client_path("login"),
        body=body,
        bucket="login",
        unauthenticated=True,
        idempotent=retry,
        retry_forever=retry,
    )
    try:
        return as_dict(await transport.request(request))
    except RequestRefused as refused:
        raise CredentialsRefused(
            f"the homeserver refused the login of {account.user_id} ({refused.errcode}:"
            f" {refused.reason}): check MATRIX_USER_ID and MATRIX_PASSWORD"
        ) from refused


def wrong_user(login: dict[str, Any], expected: UserId) -> CredentialsRefused:
    """Return the error for a login that the homeserver answered with another user's session."""
    return CredentialsRefused(
        f"the homeserver logged in {login.get('user_id')}, but MATRIX_USER_ID is"
        f" {expected}: set it to the user that the homeserver names"
    )

"""The environment (contract section 2), read once, validated whole: all faults are told at once (E10).

Empty means unset; `.env` in the working directory is read, and the real environment wins over it. Secrets are never
shown, not even when they are what is wrong.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_platform import HIDDEN, base_from_ws_url, base_url_fault, may_be_secret
from cli.errors import CommandFailed, ExitCode

_USER_ID = re.compile(r"@[^:\s]+:[^\s]+")
_SECRET = frozenset({"MATRIX_PASSWORD", "MATRIX_ACCESS_TOKEN"})


_ENV_FILE = ".env"
_HOMESERVER = "an http or https URL, such as https://matrix.example.org"


class _Wrong(ValueError):
    """A wrong value whose text is not to be shown; `found` says what it is."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(expected)
        self.found = found


class _Environment(BaseSettings):
    """The variables, and `.env` behind them.

    Raises:
        CommandFailed: `.env` is there and can't be read.
    """

    model_config = SettingsConfigDict(
        env_file=_ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    def __init__(self) -> None:
        with _readable_env_file():
            super().__init__()


def env_file_values() -> dict[str, str | None]:
    """Return what `.env` says, also of variables that only the agents file names; `{}` where there is none.

    Raises:
        CommandFailed: it is there and can't be read.
    """
    with _readable_env_file():
        return dotenv_values(_ENV_FILE, encoding="utf-8")


@contextmanager
def _readable_env_file() -> Iterator[None]:
    """Turn what keeps `.env` from being read into a fault that names it and the reason."""
    path = Path(_ENV_FILE).absolute()
    try:
        if path.is_dir():  # which its readers would take for an absent file
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        yield
    except UnicodeDecodeError as error:
        found = f"bytes that are no UTF-8, the first at {error.start}"
        raise _refused([f"{path}: found {found}; expected text in UTF-8"]) from error
    except OSError as error:
        found = f"no readable file ({error.strerror})"
        raise _refused([f"{path}: found {found}; expected one, or none"]) from error


class Places(_Environment):
    """Where the local files are: all that `inspect-room` and a local `reset` need to be told."""

    matrix_db_path: Path = Path("lambda_matrix.db")
    matrix_store_path: Path = Path("matrix_store")


class _Login(Places):
    """The two secrets, of which one is needed; read apart, so that a list of faults is whole."""

    matrix_password: SecretStr | None = None
    matrix_access_token: SecretStr | None = None


class AccountSettings(_Login):
    """What a command needs that acts in the account's name and is not the daemon."""

    matrix_homeserver: str
    matrix_user_id: str

    @field_validator("matrix_homeserver")
    @classmethod
    def _homeserver(cls, value: str) -> str:
        try:
            url = urlsplit(value)
            # Reading the port is what finds one that no port can be.
            usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
            usable = usable and not re.search(r"\s", value)
        except ValueError:
            raise _Wrong("a URL that can't be read", _HOMESERVER) from None
        if usable and (url.username is not None or url.password is not None):
            raise _Wrong("a URL with a user name or password", _HOMESERVER)
        if not usable or url.query or url.fragment:
            raise ValueError(_HOMESERVER)
        return value.rstrip("/")

    @field_validator("matrix_user_id")
    @classmethod
    def _user_id(cls, value: str) -> str:
        if not _USER_ID.fullmatch(value):
            raise ValueError("a full Matrix id, such as @lambda:example.org")
        return value


class AgentSettings(_Environment):
    """Where the agents are; apart, so that the agents file is checked whatever else is wrong."""

    matrix_platform_backend: Literal["mock", "real"] = "mock"
    matrix_agent_registry_path: Path | None = None
    agent_base_url: str | None = None
    agent_ws_url: str | None = None
    surfaces_workspace_dir: Path = Path("/agents")

    @field_validator("agent_ws_url")
    @classmethod
    def _ws_url(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                base = base_from_ws_url(value)
            except ValueError as error:
                expected = str(error).partition("; expected ")[2]
                if "@" in value or may_be_secret(value):  # it may hold a password
                    raise _Wrong("a URL that is not shown", expected) from None
                raise ValueError(expected) from None
            fault = base_url_fault(base)
            if fault is not None:
                # What can be shown is shown as it was written, not as what was made of it.
                shown = "a URL that is not shown" if may_be_secret(value) else repr(value)
                found = fault[0].replace(json.dumps(base, ensure_ascii=False), shown)
                raise _Wrong(found, fault[1])
        return value

    @field_validator("agent_base_url")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        fault = base_url_fault(value)
        if fault is not None:
            raise _Wrong(*fault)
        return value.rstrip("/")

    @property
    def base_url(self) -> str | None:
        """The base of the agents without one of their own (contract E5)."""
        if self.agent_base_url is not None or self.agent_ws_url is None:
            return self.agent_base_url
        return base_from_ws_url(self.agent_ws_url)


class Settings(AccountSettings, AgentSettings):
    """What the daemon is told. Field names are the variables' names, in lower case."""

    matrix_allowed_users: Annotated[tuple[str, ...], NoDecode] = ()
    agent_timeout_s: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    agent_retry_s: float = Field(default=120.0, ge=0, le=86400, allow_inf_nan=False)
    agent_max_answer_kb: int = Field(default=512, ge=1, le=4096)
    agent_max_turn_s: float = Field(default=1800.0, gt=0, le=86400, allow_inf_nan=False)
    surfaces_brand: str = Field(default="Lambda", max_length=200)
    surfaces_locale: Literal["en", "ru"] = "en"
    surfaces_log_format: Literal["json", "console"] | None = None
    surfaces_log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("matrix_allowed_users", mode="before")
    @classmethod
    def _allowed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = tuple(entry.strip() for entry in value.split(",") if entry.strip())
        wrong = [entry for entry in entries if not (_USER_ID.fullmatch(entry) or "*" in entry)]
        if wrong:
            expected = "full Matrix ids or globs such as @*:example.org, comma-separated"
            if any(map(may_be_secret, entries)):
                raise _Wrong(HIDDEN, expected)
            raise ValueError(f"{expected}; not {wrong[0]!r}")
        return entries

    @field_validator("surfaces_log_level", "surfaces_locale", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


def load_settings(more_faults: Iterable[str] = ()) -> Settings:
    """Read the environment; `more_faults` are told in the same line (of the agents file, E10).

    Raises:
        CommandFailed: something is missing or wrong; one line names every variable that is.
    """
    agents = load_agent_settings()
    agent_faults = _agent_faults(agents) if agents is not None else []
    return _load(Settings, [*agent_faults, *more_faults])


def load_agent_settings() -> AgentSettings | None:
    """Read where the agents are; `None` where that is wrong, which `load_settings` tells."""
    try:
        return AgentSettings()
    except ValidationError:
        return None


def load_account() -> AccountSettings:
    """Read what concerns the account, and nothing else, as `load_settings` does.

    Raises:
        CommandFailed: something is missing or wrong; one line names every variable that is (E10).
    """
    return _load(AccountSettings, ())


S = TypeVar("S", bound=AccountSettings)


def _load(cls: type[S], more_faults: Iterable[str]) -> S:
    others = [*_login_faults(_Login()), *_mode_faults(Places()), *more_faults]
    try:
        settings = cls()
    except ValidationError as error:
        raise _refused([*map(_fault, error.errors()), *others]) from error
    if others:
        raise _refused(others)
    return settings


def _refused(faults: Iterable[str]) -> CommandFailed:
    lines = "; ".join(dict.fromkeys(faults))
    return CommandFailed(ExitCode.USAGE, f"configuration: {lines}")


def _login_faults(settings: _Login) -> list[str]:
    if settings.matrix_password is None and settings.matrix_access_token is None:
        return [
            "MATRIX_PASSWORD: found nothing, and no MATRIX_ACCESS_TOKEN either; expected one of the two"
        ]
    return []


def _agent_faults(settings: AgentSettings) -> list[str]:
    if settings.matrix_platform_backend != "real":
        return []
    if settings.base_url is None and settings.matrix_agent_registry_path is None:
        return [
            "AGENT_BASE_URL: found nothing, and no MATRIX_AGENT_REGISTRY_PATH either; expected one of"
            " the two, because MATRIX_PLATFORM_BACKEND is real"
        ]
    return []


def _mode_faults(settings: Places) -> list[str]:
    """Refuse a database or store that others can read or write (contract E2)."""
    wanted = (
        ("MATRIX_DB_PATH", settings.matrix_db_path, 0o600),
        ("MATRIX_STORE_PATH", settings.matrix_store_path, 0o700),
    )
    faults = []
    for variable, path, mode in wanted:
        try:
            found = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            faults.append(f"{variable}: {path} can't be looked at: {error.strerror}")
            continue
        is_directory = path.is_dir()
        if is_directory != (mode == 0o700):
            kind = "a directory" if mode == 0o700 else "a file"
            faults.append(f"{variable}: {path} is not {kind}; expected {kind}")
        elif found & ~mode:
            faults.append(
                f"{variable}: {path} has mode {found:04o}; expected {mode:04o} or stricter"
                f" (chmod {mode:o} {path})"
            )
    return faults


def _fault(item: Any) -> str:
    variable = str(item["loc"][0]).upper() if item["loc"] else "the environment"
    if item["type"] == "missing":
        return f"{variable}: found nothing; expected {_EXPECTED.get(variable, 'a value')}"
    wrong = item.get("ctx", {}).get("error")
    if isinstance(wrong, _Wrong):
        found = wrong.found
    else:
        found = HIDDEN if may_be_secret(str(item["input"])) else repr(item["input"])
    if variable in _SECRET:
        found = "a secret that is not shown"
    expected = item["msg"].removeprefix("Value error, ")
    expected = re.sub(r"^Input should be ", "", expected)
    return f"{variable}: found {found}; expected {expected}"


_EXPECTED = {
    "MATRIX_HOMESERVER": "the homeserver's URL, such as https://matrix.example.org",
    "MATRIX_USER_ID": "the bot's full Matrix id, such as @lambda:example.org",
}

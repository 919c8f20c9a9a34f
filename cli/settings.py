"""The settings from the environment (contract section 2), validated as a whole: all faults are reported at once (E10).

Empty means unset. `.env` in the working directory is read as well; the real environment has priority. Secrets are
never shown, not even when they are the fault.
"""

import json
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_platform import HIDDEN, base_from_ws_url, base_url_fault, may_be_secret
from cli.env_file import (
    ENV_FILE,
    configuration_failed,
    env_file_faults,
    origin,
    readable_env_file,
)
from machines.ids import UserId

if TYPE_CHECKING:
    from matrix import Account

_USER_ID = re.compile(r"@[^:\s]+:[^\s]+")
_HOMESERVER = "an http or https URL, such as https://matrix.example.org"
_BOT_ID = "a full Matrix id, such as @lambda:example.org"


class _Fault(ValueError):
    """A fault whose text is complete. Another `ValueError` only says what is expected; the found value is added."""


def _seconds(lower: str, most: int, example: int) -> str:
    return f"a number of seconds {lower} and at most {most}, such as {example}"


def _wrong(found: str, expected: str) -> _Fault:
    return _Fault(f"found {found}; expected {expected}")


class _Environment(BaseSettings):
    """Reads the environment and `.env`.

    Raises:
        CommandFailed: `.env` exists and can't be read.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    def __init__(self) -> None:
        with readable_env_file():
            super().__init__()


class LocalPaths(_Environment):
    """The paths of the local files: all settings that `inspect-room` and a local `reset` need."""

    matrix_db_path: Path = Field(default=Path("lambda_matrix.db"), description="a path")
    matrix_store_path: Path = Field(default=Path("matrix_store"), description="a path")


class AccountSettings(LocalPaths):
    """The settings that a command needs to act as the bot's account."""

    matrix_homeserver: str = Field(description=_HOMESERVER)
    matrix_user_id: str = Field(description=_BOT_ID)
    matrix_access_token: SecretStr | None = Field(default=None, description="an access token")
    # After the token, because its validator reads the token.
    matrix_password: SecretStr | None = Field(default=None, description="a password")

    @field_validator("matrix_db_path", "matrix_store_path")
    @classmethod
    def _is_private(cls, path: Path, info: ValidationInfo) -> Path:
        """Refuse a database or store that other users can read or write (contract E2)."""
        is_store = info.field_name == "matrix_store_path"
        kind, mode = ("a directory", 0o700) if is_store else ("a file", 0o600)
        try:
            found = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            return path
        except OSError as error:
            raise _Fault(f"{path} can't be inspected: {error.strerror}") from None
        if path.is_dir() != is_store:
            raise _Fault(f"{path} is not {kind}; expected {kind}")
        if found & ~mode:
            raise _Fault(
                f"{path} has mode {found:04o}; expected {mode:04o} or stricter (chmod {mode:o} {path})"
            )
        return path

    @field_validator("matrix_password")
    @classmethod
    def _has_credentials(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("matrix_access_token") is None:
            raise _wrong("nothing, and no MATRIX_ACCESS_TOKEN either", "one of the two")
        return value

    @field_validator("matrix_homeserver")
    @classmethod
    def _homeserver(cls, value: str) -> str:
        try:
            url = urlsplit(value)
            # An invalid port is found only by reading it.
            usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
            usable = usable and not re.search(r"\s", value)
        except ValueError:
            raise _wrong("a URL that can't be read", _HOMESERVER) from None
        if usable and (url.username is not None or url.password is not None):
            raise _wrong("a URL with a user name or password", _HOMESERVER)
        if not usable or url.query or url.fragment:
            raise ValueError(_HOMESERVER)
        return value.rstrip("/")

    @field_validator("matrix_user_id")
    @classmethod
    def _user_id(cls, value: str) -> str:
        if not _USER_ID.fullmatch(value):
            raise ValueError(_BOT_ID)
        return value

    def account(self) -> "Account":
        """Return the account for `matrix`."""
        # Imported here: a Matrix library takes long to load, and `inspect-room` needs none.
        from matrix import Account

        password, token = self.matrix_password, self.matrix_access_token
        return Account(
            homeserver=self.matrix_homeserver,
            user_id=UserId(self.matrix_user_id),
            store_path=self.matrix_store_path,
            password=password.get_secret_value() if password else None,
            access_token=token.get_secret_value() if token else None,
        )


class AgentSettings(_Environment):
    """The settings of the agents; a separate class, so that the agents file is checked whatever else is wrong."""

    matrix_platform_backend: Literal["mock", "real"] = Field(
        default="mock", description="mock or real"
    )
    matrix_agent_registry_path: Path | None = Field(default=None, description="a path")
    agent_ws_url: str | None = Field(default=None, description="a URL")
    # After the three above, because its validator reads them.
    agent_base_url: str | None = Field(default=None, description="a URL")
    surfaces_workspace_dir: Path = Field(default=Path("/agents"), description="a path")
    surfaces_brand: str = Field(
        default="Lambda", max_length=200, description="a name of at most 200 characters"
    )

    @field_validator("agent_ws_url")
    @classmethod
    def _ws_url(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                base = base_from_ws_url(value)
            except ValueError as error:
                expected = str(error).partition("; expected ")[2]
                if "@" in value or may_be_secret(value):  # it may contain a password
                    raise _wrong("a URL that is not shown", expected) from None
                raise ValueError(expected) from None
            fault = base_url_fault(base)
            if fault is not None:
                # The message shows the configured value, not the base URL in it.
                shown = "a URL that is not shown" if may_be_secret(value) else repr(value)
                found = fault[0].replace(json.dumps(base, ensure_ascii=False), shown)
                raise _wrong(found, fault[1])
        return value

    @field_validator("agent_base_url")
    @classmethod
    def _base_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            # A wrong AGENT_WS_URL is absent here; it is reported as a separate fault.
            others = (info.data["matrix_agent_registry_path"], info.data.get("agent_ws_url", ""))
            if info.data.get("matrix_platform_backend") == "real" and others == (None, None):
                raise _wrong(
                    "nothing, and no MATRIX_AGENT_REGISTRY_PATH either",
                    "one of the two, because MATRIX_PLATFORM_BACKEND is real",
                )
            return None
        fault = base_url_fault(value)
        if fault is not None:
            raise _wrong(*fault)
        return value.rstrip("/")

    @property
    def base_url(self) -> str | None:
        """The base URL of agents whose entry in the agents file has none (contract E5)."""
        if self.agent_base_url is not None or self.agent_ws_url is None:
            return self.agent_base_url
        return base_from_ws_url(self.agent_ws_url)


class Settings(AccountSettings, AgentSettings):
    """All settings of the daemon. The name of a field is that of its variable in lower case."""

    matrix_allowed_users: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="full Matrix ids or globs such as @*:example.org, comma-separated"
    )
    agent_timeout_s: float = Field(
        default=30.0, gt=0, le=3600, allow_inf_nan=False, description=_seconds("above 0", 3600, 30)
    )
    agent_retry_s: float = Field(
        default=120.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description=_seconds("not below 0", 86400, 120),
    )
    agent_max_answer_kb: int = Field(
        default=512, ge=1, le=4096, description="a whole number of KB from 1 to 4096, such as 512"
    )
    agent_max_turn_s: float = Field(
        default=1800.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description=_seconds("above 0", 86400, 1800),
    )
    surfaces_locale: Literal["en", "ru"] = Field(default="en", description="en or ru")
    surfaces_log_format: Literal["json", "console"] | None = Field(
        default=None, description="json or console"
    )
    surfaces_log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )

    @field_validator("matrix_allowed_users", mode="before")
    @classmethod
    def _allowed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = tuple(entry.strip() for entry in value.split(",") if entry.strip())
        wrong = [entry for entry in entries if not (_USER_ID.fullmatch(entry) or "*" in entry)]
        if wrong:
            expected = cls.model_fields["matrix_allowed_users"].description or ""
            if any(map(may_be_secret, entries)):
                raise _wrong(HIDDEN, expected)
            found = ", ".join(map(repr, wrong))
            raise _wrong(found if len(entries) == 1 else f"{found} in {value!r}", expected)
        return entries

    @field_validator("surfaces_log_level", "surfaces_locale", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


S = TypeVar("S", bound=AccountSettings)


def load(cls: type[S], more_faults: Iterable[str] = ()) -> S:
    """Read settings; `more_faults` (of the agents file) are reported with theirs (contract E10).

    Raises:
        CommandFailed: something is missing or wrong; it names every variable that is.
    """
    faults = [*more_faults, *env_file_faults()]
    try:
        settings = cls()
    except ValidationError as error:
        raise configuration_failed(
            [*(_described(cls, item) for item in error.errors()), *faults]
        ) from error
    if faults:
        raise configuration_failed(faults)
    return settings


def _described(cls: type[BaseSettings], item: Any) -> str:
    """Return a fault in our own words: variable, what was found and where, what is expected."""
    field = item["loc"][0]
    fault = item.get("ctx", {}).get("error")
    if item["type"] == "missing":
        fault = _wrong("nothing", cls.model_fields[field].description or "a value")
    elif not isinstance(fault, _Fault):
        found = HIDDEN if may_be_secret(str(item["input"])) else repr(item["input"])
        # A `ValueError` of a validator here says what is expected; a message of the library does not.
        ours = isinstance(fault, ValueError)
        expected = str(fault) if ours else cls.model_fields[field].description or "another value"
        fault = _wrong(found, expected)
    return f"{field.upper()}: {fault}{origin(field)}"

"""`.env` in the working directory: its values, who may read it, and which values came from it (contract E10)."""

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EISDIR
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from cli.errors import CommandFailed, ExitCode
from cli.terminal import counted

ENV_FILE = ".env"
_SECRET_NAME = re.compile("PASSWORD|TOKEN|SECRET")
_READ_BY_OTHERS = 0o044

# The library warns of a line in its own words, once for each reading, and goes on; see `env_file_faults`.
logging.getLogger("dotenv").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class LooseEnvFile:
    """A `.env` with a secret in it that other users may read."""

    path: Path
    mode: str


def loose_env_file(secrets: Iterable[str] = ()) -> LooseEnvFile | None:
    """Return `.env` if it has a secret and others may read it; it is used all the same.

    A value is a secret by the name of its variable, or if it is one of `secrets`: the agents file may name any variable
    for a token.

    Raises:
        CommandFailed: it exists and can't be read.
    """
    known = set(secrets)
    has_secret = any(
        value and (_SECRET_NAME.search(name.upper()) or value.strip() in known)
        for name, value in env_file_values().items()
    )
    path = Path(ENV_FILE).absolute()
    mode = stat.S_IMODE(path.stat().st_mode) if has_secret else 0
    return LooseEnvFile(path, f"{mode:04o}") if mode & _READ_BY_OTHERS else None


def env_file_values() -> dict[str, str | None]:
    """Return all variables of `.env`, those that only the agents file names included; `{}` without a file.

    Raises:
        CommandFailed: it exists and can't be read.
    """
    with readable_env_file():
        return dotenv_values(ENV_FILE, encoding="utf-8")


def env_file_faults() -> list[str]:
    """Return a fault for each line of `.env` that sets nothing; its text may be a secret, and is not shown.

    Raises:
        CommandFailed: it exists and can't be read.
    """
    path = Path(ENV_FILE).absolute()
    if not path.is_file():
        return []
    with readable_env_file(), path.open(encoding="utf-8") as file:
        wrong = [each.original for each in parse_stream(file) if each.error]
    # A statement begins with the blank lines before it.
    lines = [each.line + _leading_blank(each.string).count("\n") for each in wrong]
    return [f"{path}:{line}: found no assignment; expected NAME=value" for line in lines]


def _leading_blank(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


@contextmanager
def readable_env_file() -> Iterator[None]:
    """Turn an error in reading `.env` into a fault with its path and the reason."""
    path = Path(ENV_FILE).absolute()
    try:
        if path.is_dir():  # the libraries that read it would treat it as an absent file
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        yield
    except UnicodeDecodeError as error:
        found = f"bytes that are no UTF-8, the first at {error.start}"
        raise _unreadable(f"{path}: found {found}; expected text in UTF-8") from error
    except OSError as error:
        found = f"no readable file ({error.strerror})"
        raise _unreadable(f"{path}: found {found}; expected one, or none") from error


def _unreadable(fault: str) -> CommandFailed:
    return CommandFailed(ExitCode.USAGE, "configuration", [fault])


def configuration_failed(faults: Iterable[str]) -> CommandFailed:
    """Return the failure for these faults, which names the `.env` that was read (contract E10)."""
    lines = tuple(dict.fromkeys(faults))
    path = Path(ENV_FILE).absolute()
    read = f"{path} was read" if os.path.lexists(path) else f"there is no {path}"
    return CommandFailed(
        ExitCode.USAGE, f"configuration: {counted(len(lines), 'fault')}, {read}", lines
    )


def origin(field: str) -> str:
    """Return where the value of a variable is from; the environment has priority, and empty means unset."""
    sources: tuple[tuple[str, Mapping[str, str | None]], ...] = (
        ("the environment", os.environ),
        (str(Path(ENV_FILE).absolute()), env_file_values()),
    )
    for source, values in sources:
        if any(name.lower() == field and value for name, value in values.items()):
            return f" (set in {source})"
    return ""

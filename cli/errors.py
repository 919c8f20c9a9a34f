"""The failure of a command: one line on stderr, and an exit code of contract S4."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of contract S4."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    CREDENTIALS = 3
    DATABASE = 4
    LOCKED = 5


class CommandFailed(Exception):
    """Ends a command; the message says what is wrong and what to do."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code

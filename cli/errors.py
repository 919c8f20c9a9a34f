"""What the command line says when it ends badly: one line, and an exit code of contract S4."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Contract S4."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    CREDENTIALS = 3
    DATABASE = 4
    LOCKED = 5


class CommandFailed(Exception):
    """A command can't go on; `str()` says what is wrong and what to do."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code

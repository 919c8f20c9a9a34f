"""The failure of a command: one line on stderr, and an exit code of contract S4."""

import traceback
from collections.abc import Iterable, Sequence
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
    """Ends a command; `summary` says what is wrong and what to do, `lines` lists faults or choices.

    As text both are one line. On a terminal each of the `lines` has a line of its own.
    """

    def __init__(self, code: ExitCode, summary: str, lines: Iterable[str] = ()) -> None:
        self.code = code
        self.summary = summary
        self.lines = tuple(lines)
        super().__init__(one_line(summary, self.lines))


def one_line(summary: str, lines: Sequence[str]) -> str:
    """Return a summary and its list as one line."""
    return f"{summary}: {'; '.join(lines)}" if lines else summary


def ending_of(error: BaseException) -> tuple[ExitCode, str]:
    """Return the exit code and the line of an error that ends a command.

    An unexpected error is named by its type and place only: its text may quote a message (contract E9).
    """
    if isinstance(error, CommandFailed):
        return error.code, " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    origin = f"{type(error).__name__}{where}"
    return ExitCode.FAULT, f"a fault in this program, {origin}; please report it"

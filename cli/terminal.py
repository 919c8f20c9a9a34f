"""Makes output safe for a terminal and for pipes."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def replace_unencodable() -> None:
    """Replace characters that the encoding of stdout lacks by `?`, instead of raising an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextmanager
def closed_stdout_allowed() -> Iterator[None]:
    """Treat a closed stdout (`| head`, or `>&-` at the start) as success."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Buffered output goes to /dev/null; otherwise Python would report the error again when it exits.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Pad the cells of each column but the last to the same width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        (*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])
        for row in rows
    ]


def escape_controls(text: str) -> str:
    """Escape control characters: text from outside can't move the cursor, change colours or fake a line."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: `1 room`, `2 rooms`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

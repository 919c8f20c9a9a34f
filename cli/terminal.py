"""Text from outside, made fit for a terminal: a name can't move the cursor, change colours or fake a line."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def use_any_encoding() -> None:
    """Let stdout show `?` for what its encoding lacks, instead of ending the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextmanager
def for_whoever_reads() -> Iterator[None]:
    """Let the reader of stdout go before its end (`| head`): he has what he wanted, and nothing has failed."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere, or Python would complain about it at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def printable(text: str) -> str:
    """Return the text with its control characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )

"""Text from outside, made fit for a terminal: a name can't move the cursor, change colours or fake a line."""

import io
import sys


def use_any_encoding() -> None:
    """Let stdout show `?` for what its encoding lacks, instead of ending the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def printable(text: str) -> str:
    """Return the text with its control characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )

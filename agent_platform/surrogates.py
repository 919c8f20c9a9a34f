"""Lone surrogates: halves of UTF-16 surrogate pairs, which JSON can carry and UTF-8 can't.

An agent that works in UTF-16 may split a character between two chunks of its answer. SQLite and homeservers refuse the
halves, and replacing each of them would lose the character.
"""

import re

_LONE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate replaced by U+FFFD: it can be encoded in UTF-8."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


class SurrogateJoiner:
    """Joins surrogate pairs that are split between two chunks of one answer."""

    def __init__(self) -> None:
        self._high = ""

    def feed(self, chunk: str) -> str:
        """Return the complete characters so far; a high surrogate at the end waits for the next chunk."""
        text = self._high + chunk
        self._high = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        if text.isascii():
            return text
        # A pair is two code points in a Python string; decoding UTF-16 makes it one.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def flush(self) -> str:
        """End the answer; return U+FFFD if its last chunk ended with a high surrogate."""
        high, self._high = self._high, ""
        return replace_surrogates(high)

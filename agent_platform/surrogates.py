"""Lone surrogates: halves of characters that JSON can carry and UTF-8 can't.

An agent that works in UTF-16 and cuts its answer anywhere sends the halves of a character in two
chunks. Kept as they are, neither SQLite nor a homeserver takes them; replaced one by one, the
character is lost.
"""

import re

_LONE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate replaced by U+FFFD: it can always be sent and kept."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


class PairJoiner:
    """Makes whole characters out of halves that arrive in two chunks of one answer."""

    def __init__(self) -> None:
        self._high = ""

    def join(self, chunk: str) -> str:
        """Return the text that is complete with `chunk`; a first half at its end waits."""
        text = self._high + chunk
        self._high = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._high = text[:-1], text[-1]
        if text.isascii():
            return text
        # A pair is two code points here; UTF-16 is the encoding that makes it one.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """Return what is still waiting when the answer is over: a replacement, or nothing."""
        high, self._high = self._high, ""
        return without_surrogates(high)

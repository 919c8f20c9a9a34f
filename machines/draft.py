"""A text that only grows: an agent's answer as it comes in, without a copy for each piece of it.

A draft is a value: it never changes, and `grown` returns another one. All drafts of one answer share a buffer, of which
each shows the beginning up to its own length.
"""

from io import SEEK_END, StringIO


class Draft:
    """The first characters of a growing text."""

    __slots__ = ("_buffer", "_length", "visible")

    def __init__(self, text: str = "") -> None:
        self._buffer = StringIO(newline="")
        self._length = self._buffer.write(text)
        self.visible = bool(text) and not text.isspace()
        """Whether there is more than white space in it."""

    def grown(self, piece: str) -> "Draft":
        """Return this text with `piece` behind it; only the piece is copied."""
        longer = self if self._is_newest() else Draft(self.since(0))
        draft = Draft.__new__(Draft)
        draft._buffer = longer._buffer
        draft._length = longer._length + longer._buffer.write(piece)
        draft.visible = self.visible or (bool(piece) and not piece.isspace())
        return draft

    def since(self, offset: int) -> str:
        """Return the text from a character on; the cost is that of what is returned."""
        self._buffer.seek(offset)
        text = self._buffer.read(max(0, self._length - offset))
        self._buffer.seek(0, SEEK_END)
        return text

    def __str__(self) -> str:
        """Return the whole text."""
        return self.since(0)

    def __len__(self) -> int:
        """Count the characters."""
        return self._length

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Draft) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Tell the length: what an agent said is not for logs."""
        return f"Draft({self._length} characters)"

    def _is_newest(self) -> bool:
        """Whether nothing has been written behind this text; the buffer stands at its end."""
        return self._buffer.tell() == self._length

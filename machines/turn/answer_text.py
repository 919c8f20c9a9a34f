"""The text of an agent's answer while it grows, without a copy of the whole text for each piece.

An `AnswerText` is an immutable value; `grown` returns a longer one. The texts of one answer share a buffer, and each of
them is the beginning of the buffer up to its own length.
"""

from io import SEEK_END, StringIO


class AnswerText:
    """A text that shares its characters with the texts that grow from it."""

    __slots__ = ("_buffer", "_length", "visible")

    def __init__(self, text: str = "") -> None:
        self._buffer = StringIO(newline="")
        self._length = self._buffer.write(text)
        self.visible = bool(text) and not text.isspace()
        """Whether it contains more than white space."""

    def grown(self, piece: str) -> "AnswerText":
        """Return this text followed by `piece`; only the piece is copied."""
        longest = self if self._is_longest() else AnswerText(self.since(0))
        grown = AnswerText.__new__(AnswerText)
        grown._buffer = longest._buffer
        grown._length = longest._length + longest._buffer.write(piece)
        grown.visible = self.visible or (bool(piece) and not piece.isspace())
        return grown

    def since(self, offset: int) -> str:
        """Return the text from a character on; only that is copied."""
        self._buffer.seek(offset)
        text = self._buffer.read(max(0, self._length - offset))
        self._buffer.seek(0, SEEK_END)
        return text

    def __str__(self) -> str:
        """Return the whole text, which is copied."""
        return self.since(0)

    def __len__(self) -> int:
        """Return the number of characters."""
        return self._length

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, AnswerText) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return only the length, because the text of an answer must not reach a log."""
        return f"AnswerText({self._length} characters)"

    def _is_longest(self) -> bool:
        """Whether no other text has extended the buffer, whose position is always its end."""
        return self._buffer.tell() == self._length

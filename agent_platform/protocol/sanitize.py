"""What is kept of foreign text and foreign JSON: as much as a person reads, and nothing that can't be kept or shown."""

import unicodedata
from typing import Any

from agent_platform.errors import ProtocolFault
from agent_platform.surrogates import without_surrogates

LINE_CHARS = 200
"""The longest title, tool name or step that is shown (contract E13)."""
TEXT_CHARS = 4_000
MAX_DEPTH = 32
MAX_VALUES = 1_000
_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Invisible characters that belong to words and emoji."""


def one_line(text: str, most_chars: int = LINE_CHARS) -> str:
    """Return text in one line without control characters, cut where it is longer than a person reads."""
    # White space and control characters may be all there is at first; the work is bounded all the same.
    shown = " ".join(_printable(text[: 4 * most_chars]).split())
    return _cut(shown, most_chars, is_whole=len(text) <= 4 * most_chars)


def paragraphs(text: str, most_chars: int = TEXT_CHARS) -> str:
    """Return text with its lines, without other control characters, cut where it is too long."""
    shown = _printable(text[:most_chars], keep="\n\t")
    return _cut(shown, most_chars, is_whole=len(text) <= most_chars)


def cleaned(value: Any) -> Any:
    """Return foreign JSON that can be kept: no lone surrogates, no long strings, so many values and no more.

    Raises:
        ProtocolFault: it is nested too deeply.
    """
    return _Cleaner().clean(value, MAX_DEPTH)


class _Cleaner:
    """Cleans one value; counts what it has taken over."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def clean(self, value: Any, depth: int) -> Any:
        self._left -= 1
        match value:
            case str():
                return without_surrogates(value[:TEXT_CHARS])
            case dict() | list() if depth == 0:
                raise ProtocolFault("the frame is nested too deeply")
            case dict():
                fields = {}
                for name, each in value.items():
                    if self._left <= 0:
                        break
                    fields[without_surrogates(name[:LINE_CHARS])] = self.clean(each, depth - 1)
                return fields
            case list():
                items = []
                for each in value:
                    if self._left <= 0:
                        break
                    items.append(self.clean(each, depth - 1))
                return items
            case _:
                return value


def _printable(text: str, keep: str = "") -> str:
    text = without_surrogates(text)
    if text.isprintable():
        return text
    return "".join(
        each
        if each in keep or each in _JOINERS or unicodedata.category(each) not in _CONTROLS
        else " "
        for each in text
    )


def _cut(text: str, most_chars: int, *, is_whole: bool) -> str:
    if is_whole and len(text) <= most_chars:
        return text
    return f"{text[: most_chars - 1].rstrip()}…"

"""Sanitises text and JSON from agents: removes what can't be stored or shown, and limits the size."""

import unicodedata
from typing import Any

from agent_platform.errors import ProtocolError
from agent_platform.surrogates import replace_surrogates

MAX_LINE_CHARS = 200
"""The longest title, tool name or step that is shown (contract E13)."""
MAX_TEXT_CHARS = 4_000
MAX_DEPTH = 32
MAX_VALUES = 1_000
_CONTROLS = frozenset({"Cc", "Cf", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
"""Invisible characters that belong to words and emoji."""


def sanitize_line(text: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """Return text as one line without control characters, cut at `max_chars`."""
    # Only a bounded part is read, even if it is nothing but white space and control characters.
    shown = " ".join(_printable(text[: 4 * max_chars]).split())
    return _cut(shown, max_chars, is_whole=len(text) <= 4 * max_chars)


def sanitize_text(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return text with its line breaks and without other control characters, cut at `max_chars`."""
    shown = _printable(text[:max_chars], allowed="\n\t")
    return _cut(shown, max_chars, is_whole=len(text) <= max_chars)


def sanitize_json(value: Any) -> Any:
    """Return JSON without lone surrogates, with strings cut and at most `MAX_VALUES` values.

    Raises:
        ProtocolError: it is nested too deeply.
    """
    remaining = MAX_VALUES

    def sanitize(value: Any, depth: int) -> Any:
        nonlocal remaining
        remaining -= 1
        match value:
            case str():
                return replace_surrogates(value[:MAX_TEXT_CHARS])
            case dict() | list() if depth == 0:
                raise ProtocolError("the frame is nested too deeply")
            case dict():
                return {
                    replace_surrogates(name[:MAX_LINE_CHARS]): sanitize(each, depth - 1)
                    for name, each in value.items()
                    if remaining > 0
                }
            case list():
                return [sanitize(each, depth - 1) for each in value if remaining > 0]
            case _:
                return value

    return sanitize(value, MAX_DEPTH)


def _printable(text: str, allowed: str = "") -> str:
    text = replace_surrogates(text)
    if text.isprintable():
        return text
    return "".join(
        each
        if each in allowed or each in _JOINERS or unicodedata.category(each) not in _CONTROLS
        else " "
        for each in text
    )


def _cut(text: str, max_chars: int, *, is_whole: bool) -> str:
    if is_whole and len(text) <= max_chars:
        return text
    return f"{text[: max_chars - 1].rstrip()}…"

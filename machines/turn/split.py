"""Splits a text that is too long for one event into parts (contract D7).

A part ends, in this order of preference:

1. at a blank line, or at the beginning or end of a code fence;
2. between two lines outside any fence;
3. between two lines inside a fence, which is then closed and opened again in the next part;
4. between two words, or else between two characters.

A cut of the kinds 2 and 4 that would divide a displayed formula is made before that formula, unless the part begins
with it. White space around a cut is dropped, except between words. Everything else of the text is preserved, in order.

Parts are sent while the answer still grows, so a cut must never move: it depends only on what fits into the part and
one character more. All parts of a text but the last are the same for every continuation of the text. So a caller can
continue from a `CutPosition`, without the text before it.
"""

import re
import unicodedata
from dataclasses import dataclass

from msgspec import Struct

from machines.turn.fences import LIST_INDENT, Fence, size
from machines.turn.formulas import DISPLAY, open_formula

PART_BYTES = 16_000
"""Maximum size of a part in UTF-8 bytes: it fits into an event as Markdown and as HTML, and into an edit."""

SMALLEST_LIMIT_BYTES = 64
GRAPHEME_CHARS = 64
_LONGEST_CHAR_BYTES = 4

_WORD_BREAK = re.compile(r"[ \t](?=[^\s`~])")
_SPACE = re.compile(r"\s*")
_FENCE_MARKER = re.compile("```|~~~")
_BLANK_LINE = re.compile(r"^[^\S\n]*\n", re.MULTILINE)
_VISIBLE = re.compile(r"\S")


class CutPosition(Struct, frozen=True):
    """The beginning of a part: an offset into the text, and the fence line to repeat there."""

    offset: int = 0
    opening: str = ""


START = CutPosition()


def split(
    text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES
) -> tuple[str, ...]:
    """Return the parts of `text` from `position` on; none of them is blank."""
    parts, position = finished_parts(text, position, limit_bytes=limit_bytes)
    position = _part_start(text, position, limit_bytes)
    end = position.offset + len(text[position.offset :].rstrip())
    return (*parts, _part(text, position, end)) if position.offset < end else tuple(parts)


def finished_parts(
    text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES
) -> tuple[list[str], CutPosition]:
    """Return the parts that every continuation of `text` has as well, and the position after them.

    Raises:
        ValueError: `limit_bytes` leaves no room for a fence and some text.
    """
    if limit_bytes < SMALLEST_LIMIT_BYTES:
        raise ValueError(f"a part needs at least {SMALLEST_LIMIT_BYTES} bytes, not {limit_bytes}")
    parts: list[str] = []
    while found := _next_part(text, position, limit_bytes):
        part, position = found
        parts.append(part)
    return parts, position


def close_fence(text: str, opening: str = "") -> str:
    """Close a code fence that is open at the end of `text`, so that a sentence can follow.

    `opening` is the fence line of the part that `text` continues, as in a `CutPosition`.
    """
    fence = _find_breaks(f"{text}\n", CutPosition(0, opening), len(text), 8 * len(text)).fence
    return f"{text.rstrip()}\n{fence.closing}" if fence else text


def _next_part(
    text: str, position: CutPosition, limit_bytes: int
) -> tuple[str, CutPosition] | None:
    """Return the part at `position` and the position after it, or `None` if the rest fits into one part."""
    if size(position.opening) + _LONGEST_CHAR_BYTES * (len(text) - position.offset) <= limit_bytes:
        return None  # true of most answers, and cheaper than counting bytes
    position = _part_start(text, position, limit_bytes)
    room_bytes = limit_bytes - size(position.opening)
    stop = _longest_fit(text, position.offset, room_bytes)
    if not _VISIBLE.search(text, stop):
        return None
    breaks = _find_breaks(text, position, stop, limit_bytes)
    if cut := breaks.paragraph or _before_formula(text, position.offset, breaks.line):
        return _part(text, position, cut).rstrip(), CutPosition(cut)
    fence = breaks.fence
    if fence is None:
        cut = _cut_in_line(text, position.offset, stop)
        cut = _before_formula(text, position.offset, cut)
        return _part(text, position, cut), CutPosition(cut)
    if cut := breaks.code_line:
        part = _part(text, position, cut).rstrip()
    else:
        stop = _longest_fit(text, position.offset, room_bytes - size(fence.closing) - 1)
        cut = _cut_in_line(text, position.offset, stop)
        part = _part(text, position, cut)
    return f"{part}\n{fence.closing}", CutPosition(cut, fence.reopening(limit_bytes))


@dataclass(slots=True)
class _Breaks:
    """The last possible cut of each kind in a part; 0 if there is none."""

    paragraph: int = 0
    line: int = 0
    code_line: int = 0
    fence: Fence | None = None
    """The fence that is open at the end."""


def _find_breaks(text: str, position: CutPosition, stop: int, limit_bytes: int) -> _Breaks:
    """Find the possible cuts in the complete lines of a part that ends at `stop` or before."""
    breaks = _Breaks(fence=Fence.opened_by(position.opening))
    used_bytes = size(position.opening)
    closing_bytes = size(breaks.fence.closing) if breaks.fence else 0
    has_code = False
    begin = position.offset
    while True:
        if breaks.fence is None:
            # Lines without a fence marker are searched at once.
            marker = _FENCE_MARKER.search(text, begin, stop + 1)
            until = text.rfind("\n", begin, marker.start() if marker else stop + 1) + 1
            if until > begin:
                breaks.line = until
                for blank in _BLANK_LINE.finditer(text, begin, until):
                    breaks.paragraph = blank.start()
                used_bytes += size(text[begin:until])
                begin = until
        end = text.find("\n", begin, stop + 1)
        if end < 0:
            return breaks
        line = text[begin:end]
        used_bytes += size(line)
        if breaks.fence is None:
            fence = Fence.opened_by(line)
            # A marker so long that repeating it would fill much of every part is treated as text.
            if fence and len(fence.lead) + len(fence.marker) <= limit_bytes // 8:
                breaks.fence, has_code = fence, False
                closing_bytes = size(fence.closing)
                breaks.paragraph = begin if begin > position.offset else 0
            else:
                breaks.line = end + 1
        elif breaks.fence.marker in line and breaks.fence.is_closed_by(line):
            breaks.fence, breaks.paragraph = None, end + 1
        else:
            # A cut right after the opening line would leave an empty block.
            has_code = has_code or bool(line.strip())
            if has_code and used_bytes + 1 + closing_bytes <= limit_bytes:
                breaks.code_line = end + 1
        used_bytes += 1
        begin = end + 1


def _part_start(text: str, position: CutPosition, limit_bytes: int) -> CutPosition:
    """Return the position after blank lines, and after the end of a fence that was closed at the cut.

    A fence that is indented for a list in an earlier part gets the position of a fence to open again.
    """
    start = _after_blank_lines(text, position.offset, limit_bytes)
    end = text.find("\n", start, start + limit_bytes)
    fence = Fence.opened_by(position.opening)
    if fence is None:
        inner = Fence.opened_by(text[start:end]) if end >= 0 else None
        if inner is None or not inner.lead.isspace() or len(inner.lead) <= LIST_INDENT:
            return CutPosition(start)
        return _part_start(text, CutPosition(end, inner.reopening(limit_bytes)), limit_bytes)
    if end < 0 and len(text) - start < limit_bytes:
        end = len(text)
    if end >= 0 and fence.is_closed_by(text[start:end]):
        return CutPosition(_after_blank_lines(text, end, limit_bytes))
    return CutPosition(start, position.opening)


def _after_blank_lines(text: str, start: int, limit_bytes: int) -> int:
    """Return the start of the first line that is not blank, or the end of its indentation if that is very long."""
    found = _SPACE.match(text, start)
    visible = found.end() if found else start
    line_start = max(start, text.rfind("\n", start, visible) + 1)
    return line_start if visible - line_start <= limit_bytes // 4 else visible


def _part(text: str, position: CutPosition, stop: int) -> str:
    """Return the text from `position` up to `stop`, after the repeated fence line.

    The line that closes that fence may be indented for a list in an earlier part. Markdown would not accept it then, so
    its indentation is dropped.
    """
    if not position.opening:
        return text[position.offset : stop]
    fence = Fence.opened_by(position.opening)
    lines = text[position.offset : stop].split("\n")
    for number, line in enumerate(lines):
        if fence and fence.is_closed_by(line):
            lines[number] = line if ">" in line else line.lstrip()
            break
    return position.opening + "\n".join(lines)


def _before_formula(text: str, start: int, cut: int) -> int:
    """Return the beginning of the displayed formula that a cut would divide, or else the cut itself.

    A formula at the start of the part is divided. Whether a formula is closed after the cut is not read.
    """
    if text.find("$$", start, cut) < 0 and text.find(r"\[", start, cut) < 0:
        return cut
    opener, begin = open_formula(text[start:cut])
    return start + begin if opener in DISPLAY and text[start : start + begin].strip() else cut


def _cut_in_line(text: str, start: int, stop: int) -> int:
    """Return where to cut a line that is too long: between two words, or else between two characters."""
    half = max(start + (stop - start) // 2, text.rfind("\n", start, stop) + 1)
    if breaks := [found.end() for found in _WORD_BREAK.finditer(text, half, stop)]:
        return breaks[-1]
    for cut in range(stop, max(start, stop - GRAPHEME_CHARS), -1):
        if not _is_one_character(text, start, cut):
            return cut
    return stop - 1 if _is_surrogate_pair(text[stop - 1], text[stop]) and stop - 1 > start else stop


def _is_one_character(text: str, start: int, cut: int) -> bool:
    """Whether a cut would divide one visible character (an approximation of UAX #29 grapheme clusters).

    The text before `start`, the beginning of the part, is not read.
    """
    before, after = text[cut - 1], text[cut]
    if (
        before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or _is_surrogate_pair(before, after)
    ):
        return True
    if unicodedata.category(after) in {"Mn", "Mc", "Me", "Cf"}:
        return True
    flags = 0
    while flags < cut - start and "\U0001f1e6" <= text[cut - 1 - flags] <= "\U0001f1ff":
        flags += 1
    return flags % 2 == 1 and "\U0001f1e6" <= after <= "\U0001f1ff"


def _is_surrogate_pair(before: str, after: str) -> bool:
    return "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff"


def _longest_fit(text: str, start: int, room_bytes: int) -> int:
    """Return the largest offset such that the text from `start` to it fits into `room_bytes`."""
    window = text[start : start + room_bytes]
    if window.isascii():
        return start + len(window)
    encoded = window.encode("utf-8", "surrogatepass")
    if len(encoded) <= room_bytes:
        return start + len(window)
    while encoded[room_bytes] & 0xC0 == 0x80:
        room_bytes -= 1
    return start + len(encoded[:room_bytes].decode("utf-8", "surrogatepass"))

"""Cut a text that is too long for one event into parts (contract D7).

A part ends, in this order of preference, at a blank line or the border of a code fence; between two lines outside any
fence; between two lines inside one, which is then closed and opened again in the next part; between two words; between
two characters. White space around a cut is dropped, except between words. Everything else of the text is kept, in
order.

Parts are sent while the answer still grows, so a cut may never move: it depends only on what fits into the part and
one character more. For any text and any continuation of it, all parts but the last are the same. So a caller can
continue from a `CutPosition`, without the text before it.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import Struct

from machines.turn.fences import LIST_INDENT, Fence, size

PART_BYTES = 16_000
"""Largest part, in UTF-8 bytes: it fits into an event as Markdown, as HTML, and as an edit."""

SMALLEST_LIMIT_BYTES = 64
GRAPHEME_CHARS = 64
_LONGEST_CHAR_BYTES = 4

_WORD_BORDER = re.compile(r"[ \t](?=[^\s`~])")
_MARKER = re.compile(r"```|~~~")
_BLANK_LINE = re.compile(r"(?<=\n)[^\S\n]*\n")
_SPACE = re.compile(r"\s*")
_VISIBLE = re.compile(r"\S")


class CutPosition(Struct, frozen=True):
    """Where the next part begins: an offset into the text, and the fence line to repeat there."""

    offset: int = 0
    opening: str = ""


class Cut(Struct, frozen=True):
    """A finished part, and the position after it."""

    part: str
    rest: CutPosition


START = CutPosition()


def split(
    text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES
) -> tuple[str, ...]:
    """Return the parts of `text` from `position` on, none of them blank; a blank text has no parts."""
    parts, position = finished_parts(text, position, limit_bytes=limit_bytes)
    last = remainder(text, position, limit_bytes=limit_bytes)
    return (*parts, last) if last else tuple(parts)


def finished_parts(
    text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES
) -> tuple[list[str], CutPosition]:
    """Return the parts that a longer text would have as well, and the position after them."""
    parts: list[str] = []
    while cut := next_cut(text, position, limit_bytes=limit_bytes):
        parts.append(cut.part)
        position = cut.rest
    return parts, position


def remainder(text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES) -> str:
    """Return the last part, which begins at `position`; empty if only white space is left.

    Called when `next_cut` returns `None` for the same position and limit.
    """
    position = _settled(text, position, limit_bytes)
    end = position.offset + len(text[position.offset :].rstrip())
    return _joined(text, position, end) if position.offset < end else ""


def next_cut(
    text: str, position: CutPosition = START, *, limit_bytes: int = PART_BYTES
) -> Cut | None:
    """Return the part that begins at `position`, or `None` while all that follows fits into one part.

    Raises:
        ValueError: `limit_bytes` leaves no room for a fence and some text.
    """
    if limit_bytes < SMALLEST_LIMIT_BYTES:
        raise ValueError(f"a part needs at least {SMALLEST_LIMIT_BYTES} bytes, not {limit_bytes}")
    if size(position.opening) + _LONGEST_CHAR_BYTES * (len(text) - position.offset) <= limit_bytes:
        return None  # true of most answers, and cheaper than counting bytes
    position = _settled(text, position, limit_bytes)
    room_bytes = limit_bytes - size(position.opening)
    stop = _fitting(text, position.offset, room_bytes)
    if not _VISIBLE.search(text, stop):
        return None
    borders = _borders(text, position, stop, limit_bytes)
    if outside := borders.paragraph or borders.line:
        return Cut(_joined(text, position, outside).rstrip(), CutPosition(outside))
    fence = borders.fence
    if fence is None:
        cut = _inside_line(text, position.offset, stop)
        return Cut(_joined(text, position, cut), CutPosition(cut))
    if borders.code_line:
        cut = borders.code_line
        part = _joined(text, position, cut).rstrip()
    else:
        stop = _fitting(text, position.offset, room_bytes - size(fence.closing) - 1)
        cut = _inside_line(text, position.offset, stop)
        part = _joined(text, position, cut)
    return Cut(f"{part}\n{fence.closing}", CutPosition(cut, fence.reopening(limit_bytes)))


def close_fence(text: str, opening: str = "") -> str:
    """Close a code fence that is open at the end of a text, so that a sentence can follow.

    `opening` is the fence line of the part that the text continues, as in a `CutPosition`.
    """
    fence = _borders(f"{text}\n", CutPosition(0, opening), len(text), 8 * len(text)).fence
    return f"{text.rstrip()}\n{fence.closing}" if fence else text


@dataclass(slots=True)
class _Borders:
    """The last border of each kind that a part may end at; 0 is none."""

    paragraph: int = 0
    line: int = 0
    code_line: int = 0
    fence: Fence | None = None
    """The fence that is open at the end."""


def _borders(text: str, position: CutPosition, stop: int, limit_bytes: int) -> _Borders:
    """Find the borders in the complete lines of a part that may reach to `stop`."""
    found = _Borders(fence=Fence.opened_by(position.opening))
    window = text[position.offset : stop + 1]
    if found.fence is None and not _MARKER.search(window):
        return _outside_fences(text, position.offset, stop)
    is_ascii = window.isascii()
    used_bytes = size(position.opening)
    closing_bytes = size(found.fence.closing) if found.fence else 0
    has_code = False
    for begin, end in _lines(text, position.offset, stop):
        line = text[begin:end]
        used_bytes += end - begin if is_ascii else size(line)
        if found.fence is None:
            fence = Fence.opened_by(line) if _MARKER.search(line) else None
            # A marker so long that repeating it would fill much of every part is treated as text.
            if fence and len(fence.lead) + len(fence.marker) <= limit_bytes // 8:
                found.fence, has_code = fence, False
                closing_bytes = size(fence.closing)
                found.paragraph = begin if begin > position.offset else 0
            elif line.strip():
                found.line = end + 1
            else:
                found.paragraph = begin
        elif found.fence.marker in line and found.fence.is_closed_by(line):
            found.fence, found.paragraph = None, end + 1
        else:
            # A cut right after the opening line would leave an empty block.
            has_code = has_code or bool(line.strip())
            if has_code and used_bytes + 1 + closing_bytes <= limit_bytes:
                found.code_line = end + 1
        used_bytes += 1
    return found


def _outside_fences(text: str, start: int, stop: int) -> _Borders:
    """Find the borders in a text without fences, as most answers are."""
    found = _Borders(line=text.rfind("\n", start, stop + 1) + 1)
    for blank in _BLANK_LINE.finditer(text, start, stop + 1):
        found.paragraph = blank.start()
    return found


def _lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each line whose newline is at `stop` or before."""
    while (end := text.find("\n", start, stop + 1)) >= 0:
        yield start, end
        start = end + 1


def _settled(text: str, position: CutPosition, limit_bytes: int) -> CutPosition:
    """Move a position to where its part really begins.

    That is after blank lines, and after the end of a fence that was closed at the cut. A fence with the indentation of
    a list that is in an earlier part is treated as one to open again.
    """
    start = _after_blank_lines(text, position.offset, limit_bytes)
    end = text.find("\n", start, start + limit_bytes)
    fence = Fence.opened_by(position.opening)
    if fence is None:
        inner = Fence.opened_by(text[start:end]) if end >= 0 else None
        if inner is None or not inner.lead.isspace() or len(inner.lead) <= LIST_INDENT:
            return CutPosition(start)
        return _settled(text, CutPosition(end, inner.reopening(limit_bytes)), limit_bytes)
    if end < 0 and len(text) - start < limit_bytes:
        end = len(text)
    if end >= 0 and fence.is_closed_by(text[start:end]):
        return CutPosition(_after_blank_lines(text, end, limit_bytes))
    return CutPosition(start, position.opening)


def _after_blank_lines(text: str, start: int, limit_bytes: int) -> int:
    """Return the start of the first line that is not blank, or the end of its indentation if that is huge."""
    found = _SPACE.match(text, start)
    visible = found.end() if found else start
    line_start = max(start, text.rfind("\n", start, visible) + 1)
    return line_start if visible - line_start <= limit_bytes // 4 else visible


def _joined(text: str, position: CutPosition, stop: int) -> str:
    """Return the repeated fence line and the text up to `stop`.

    The closing line of that fence may be indented for a list that is in an earlier part. Markdown would then not
    accept it as the end, so its indentation is dropped.
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


def _inside_line(text: str, start: int, stop: int) -> int:
    """Return where to cut a line that is too long: between words, else between characters."""
    half = max(start + (stop - start) // 2, text.rfind("\n", start, stop) + 1)
    borders = [found.end() for found in _WORD_BORDER.finditer(text, half, stop)]
    if borders:
        return borders[-1]
    for cut in range(stop, max(start, stop - GRAPHEME_CHARS), -1):
        if not _belong_together(text, start, cut):
            return cut
    return stop - 1 if _is_pair(text[stop - 1], text[stop]) and stop - 1 > start else stop


def _belong_together(text: str, start: int, cut: int) -> bool:
    """Whether a cut would divide one visible character (an approximation of UAX #29).

    `start` is where the part begins; the text before it is not read.
    """
    before, after = text[cut - 1], text[cut]
    if before == "\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff" or _is_pair(before, after):
        return True
    if unicodedata.category(after) in {"Mn", "Mc", "Me", "Cf"}:
        return True
    flags = 0
    while flags < cut - start and "\U0001f1e6" <= text[cut - 1 - flags] <= "\U0001f1ff":
        flags += 1
    return flags % 2 == 1 and "\U0001f1e6" <= after <= "\U0001f1ff"


def _is_pair(before: str, after: str) -> bool:
    return "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff"


def _fitting(text: str, start: int, room_bytes: int) -> int:
    """Return the largest offset such that the text from `start` up to it fits into `room_bytes`."""
    window = text[start : start + room_bytes]
    if window.isascii():
        return start + len(window)
    encoded = window.encode("utf-8", "surrogatepass")
    if len(encoded) <= room_bytes:
        return start + len(window)
    while encoded[room_bytes] & 0xC0 == 0x80:
        room_bytes -= 1
    return start + len(encoded[:room_bytes].decode("utf-8", "surrogatepass"))

"""Cut an answer that is too long for one event into parts (contract D7).

A part ends, in this order of preference, at a blank line or the border of a code fence; between two
lines outside any fence; between two lines inside one, which is then closed and opened again in the
next part; between two words; between two characters. White space around a cut is dropped, except
between words. Everything else of the text is kept, in order.

Parts are sent while the answer still grows, so a cut may never move: it is decided by what fits
into the part and one character more. For any text and any continuation of it, all parts but the
last are the same. That is also why a caller needs no more than a `Place` to go on from: `next_cut`
answers `None` until the text from there on is too long, and `remainder` gives the last part, which
may still grow. Nothing before the place is looked at, so that text need not even be there any more.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import Struct

PART_BYTES = 16_000
"""Largest part, in UTF-8 bytes: it fits into an event as Markdown, as HTML, and as an edit."""

SMALLEST_LIMIT_BYTES = 64
GRAPHEME_CHARS = 64
_LONGEST_CHAR_BYTES = 4
LIST_INDENT = 3
"""Indentation, in characters, that Markdown allows a fence outside any list."""

_FENCE = re.compile(
    r"(?P<lead>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<marker>`{3,}|~{3,})(?P<info>[^\n]*)"
)
_WORD_BORDER = re.compile(r"[ \t](?=[^\s`~])")
_MARKER = re.compile(r"```|~~~")
_BLANK_LINE = re.compile(r"(?<=\n)[^\S\n]*\n")
_SPACE = re.compile(r"\s*")
_VISIBLE = re.compile(r"\S")


class Place(Struct, frozen=True):
    """Where the next part begins: an offset into the text, and the fence line to repeat there."""

    offset: int = 0
    opening: str = ""


class Cut(Struct, frozen=True):
    """A finished part, and the place behind it."""

    part: str
    rest: Place


START = Place()


def split(text: str, place: Place = START, *, limit_bytes: int = PART_BYTES) -> tuple[str, ...]:
    """Return the parts of `text` from `place` on, none of them blank; a blank text has no parts."""
    parts: list[str] = []
    while cut := next_cut(text, place, limit_bytes=limit_bytes):
        parts.append(cut.part)
        place = cut.rest
    if last := remainder(text, place, limit_bytes=limit_bytes):
        parts.append(last)
    return tuple(parts)


def remainder(text: str, place: Place = START, *, limit_bytes: int = PART_BYTES) -> str:
    """Return the last part, which begins at `place`; empty when nothing but white space is left.

    Called when `next_cut` answers `None` for the same place and limit.
    """
    place = _settled(text, place, limit_bytes)
    end = place.offset + len(text[place.offset :].rstrip())
    return _joined(text, place, end) if place.offset < end else ""


def next_cut(text: str, place: Place = START, *, limit_bytes: int = PART_BYTES) -> Cut | None:
    """Return the part that begins at `place`, or `None` while all that follows fits into one part.

    Raises:
        ValueError: `limit_bytes` leaves no room for a fence and some text.
    """
    if limit_bytes < SMALLEST_LIMIT_BYTES:
        raise ValueError(f"a part needs at least {SMALLEST_LIMIT_BYTES} bytes, not {limit_bytes}")
    if _size(place.opening) + _LONGEST_CHAR_BYTES * (len(text) - place.offset) <= limit_bytes:
        return None  # as most answers do, with whatever they are written
    place = _settled(text, place, limit_bytes)
    room_bytes = limit_bytes - _size(place.opening)
    stop = _fitting(text, place.offset, room_bytes)
    if not _VISIBLE.search(text, stop):
        return None
    borders = _borders(text, place, stop, limit_bytes)
    if outside := borders.paragraph or borders.line:
        return Cut(_joined(text, place, outside).rstrip(), Place(outside))
    fence = borders.fence
    if fence is None:
        cut = _inside_line(text, place.offset, stop)
        return Cut(_joined(text, place, cut), Place(cut))
    if borders.code_line:
        cut = borders.code_line
        part = _joined(text, place, cut).rstrip()
    else:
        stop = _fitting(text, place.offset, room_bytes - _size(fence.closing) - 1)
        cut = _inside_line(text, place.offset, stop)
        part = _joined(text, place, cut)
    return Cut(f"{part}\n{fence.closing}", Place(cut, fence.reopening(limit_bytes)))


def close_fence(text: str, opening: str = "") -> str:
    """Return a text that something is to stand behind: a code fence that is open at its end is closed.

    `opening` is the fence line that the text goes on from, as in a `Place`.
    """
    fence = _borders(f"{text}\n", Place(0, opening), len(text), 8 * len(text)).fence
    return f"{text.rstrip()}\n{fence.closing}" if fence else text


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open code fence: how it was opened, and how it may be closed and opened again."""

    lead: str
    marker: str
    info: str

    @classmethod
    def opened_by(cls, line: str) -> "_Fence | None":
        """Read an opening line, indented as it may be in a list; `None` when it is none."""
        found = _FENCE.match(line)
        if not found or ("`" in found["marker"] and "`" in found["info"]):
            return None
        return cls(found["lead"], found["marker"], found["info"].strip())

    def is_closed_by(self, line: str) -> bool:
        """Whether `line` has the same marker, at least as long, and nothing after it.

        A deeper one is code (a fence in a docstring, say), unless the fence itself is in a list.
        """
        marker = line.strip(" \t\r>" if ">" in self.lead else " \t\r")
        if len(marker) < len(self.marker) or marker.strip(self.marker[0]):
            return False
        depth = len(line) - len(line.lstrip())
        return len(self.lead) >= LIST_INDENT or depth <= len(self.lead) + LIST_INDENT

    @property
    def closing(self) -> str:
        """The line that closes it here, where a list item is continued by indentation."""
        return re.sub(r"[^ \t>]", " ", self.lead) + self.marker

    def reopening(self, limit_bytes: int) -> str:
        """The line that opens it in the next part, with its newline.

        The list around it is not there: deeper indentation would make it an indented block.
        """
        lead = re.sub(r"[^ >]", " ", self.lead)
        opening = (lead if ">" in lead else lead[:LIST_INDENT]) + self.marker
        line = f"{opening}{self.info}\n"
        return line if _size(line) <= limit_bytes // 4 else f"{opening}\n"


@dataclass(slots=True)
class _Borders:
    """The last border of each kind that a part may end at; 0 stands for none."""

    paragraph: int = 0
    line: int = 0
    code_line: int = 0
    fence: _Fence | None = None
    """The fence that is open at the end."""


def _borders(text: str, place: Place, stop: int, limit_bytes: int) -> _Borders:
    """Look through the complete lines of a part that may reach to `stop`."""
    found = _Borders(fence=_Fence.opened_by(place.opening))
    window = text[place.offset : stop + 1]
    if found.fence is None and not _MARKER.search(window):
        return _outside_fences(text, place.offset, stop)
    is_ascii = window.isascii()
    used_bytes = _size(place.opening)
    closing_bytes = _size(found.fence.closing) if found.fence else 0
    has_code = False
    for begin, end in _lines(text, place.offset, stop):
        line = text[begin:end]
        used_bytes += end - begin if is_ascii else _size(line)
        if found.fence is None:
            fence = _Fence.opened_by(line) if _MARKER.search(line) else None
            # A marker that by its repetition would fill much of every part is taken for text.
            if fence and len(fence.lead) + len(fence.marker) <= limit_bytes // 8:
                found.fence, has_code = fence, False
                closing_bytes = _size(fence.closing)
                found.paragraph = begin if begin > place.offset else 0
            elif line.strip():
                found.line = end + 1
            else:
                found.paragraph = begin
        elif found.fence.marker in line and found.fence.is_closed_by(line):
            found.fence, found.paragraph = None, end + 1
        else:
            # A cut right behind the opening line would leave an empty block behind.
            has_code = has_code or bool(line.strip())
            if has_code and used_bytes + 1 + closing_bytes <= limit_bytes:
                found.code_line = end + 1
        used_bytes += 1
    return found


def _outside_fences(text: str, start: int, stop: int) -> _Borders:
    """Find the borders where no line can open a fence, which is what most answers are made of."""
    found = _Borders(line=text.rfind("\n", start, stop + 1) + 1)
    for blank in _BLANK_LINE.finditer(text, start, stop + 1):
        found.paragraph = blank.start()
    return found


def _lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each line whose newline stands at `stop` or before."""
    while (end := text.find("\n", start, stop + 1)) >= 0:
        yield start, end
        start = end + 1


def _settled(text: str, place: Place, limit_bytes: int) -> Place:
    """Move a place to where its part really begins.

    That is behind blank lines, and behind the end of a fence that was closed at the cut. A fence
    indented for a list that stayed in an earlier part is taken as one to open again.
    """
    start = _after_blank_lines(text, place.offset, limit_bytes)
    end = text.find("\n", start, start + limit_bytes)
    fence = _Fence.opened_by(place.opening)
    if fence is None:
        inner = _Fence.opened_by(text[start:end]) if end >= 0 else None
        if inner is None or not inner.lead.isspace() or len(inner.lead) <= LIST_INDENT:
            return Place(start)
        return _settled(text, Place(end, inner.reopening(limit_bytes)), limit_bytes)
    if end < 0 and len(text) - start < limit_bytes:
        end = len(text)
    if end >= 0 and fence.is_closed_by(text[start:end]):
        return Place(_after_blank_lines(text, end, limit_bytes))
    return Place(start, place.opening)


def _after_blank_lines(text: str, start: int, limit_bytes: int) -> int:
    """Return the start of the first line with something on it, or its end of a huge indentation."""
    found = _SPACE.match(text, start)
    visible = found.end() if found else start
    line_start = max(start, text.rfind("\n", start, visible) + 1)
    return line_start if visible - line_start <= limit_bytes // 4 else visible


def _joined(text: str, place: Place, stop: int) -> str:
    """Return the repeated fence line and the text up to `stop`.

    The end of that fence may be indented for a list that stayed in an earlier part; Markdown would
    not take it for the end any more, so its indentation is dropped.
    """
    if not place.opening:
        return text[place.offset : stop]
    fence = _Fence.opened_by(place.opening)
    lines = text[place.offset : stop].split("\n")
    for number, line in enumerate(lines):
        if fence and fence.is_closed_by(line):
            lines[number] = line if ">" in line else line.lstrip()
            break
    return place.opening + "\n".join(lines)


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
    """Whether a cut would separate what is seen as one character (an approximation of UAX #29).

    Nothing before `start`, where the part begins, is looked at.
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


def _size(text: str) -> int:
    """Count UTF-8 bytes; a lone surrogate counts for the three that its replacement takes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _fitting(text: str, start: int, room_bytes: int) -> int:
    """Return the largest offset such that the text from `start` up to it fits into the room."""
    window = text[start : start + room_bytes]
    if window.isascii():
        return start + len(window)
    encoded = window.encode("utf-8", "surrogatepass")
    if len(encoded) <= room_bytes:
        return start + len(window)
    while encoded[room_bytes] & 0xC0 == 0x80:
        room_bytes -= 1
    return start + len(encoded[:room_bytes].decode("utf-8", "surrogatepass"))

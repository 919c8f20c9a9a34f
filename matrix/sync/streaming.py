"""Splits a sync response that is too long to be held into its rooms, while it arrives (contract D14, fact 24).

A homeserver does not limit the size of a sync: a few users with many large state events make hundreds of megabytes. So
the text of only one room at a time is in memory, and a room that is larger than `ROOM_BYTES` is left out. This file
finds only brackets and strings; `parsing` parses the text between them.
"""

import re
from collections.abc import Callable
from typing import Any

from matrix.errors import Unreachable
from matrix.http.parsing import ROOM_BYTES, parse_json, parse_sync

REST_BYTES = 32 * 1024 * 1024
"""The limit for a response without its rooms. Most of it are key messages, at most a hundred in a response."""

_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STEP = re.compile(rb'[^"{}\[\]]*+(?:(' + _TEXT + rb")|([{}\[\]]))", re.DOTALL)
_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:' + _TEXT + rb'[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)

_OUTSIDE, _RESPONSE, _ROOMS, _SECTION = range(4)
_ROOMS_KEY = b'"rooms"'

OnRoomText = Callable[[str, str, bytes | None], None]
"""Called with a room's section, id and text, or no text where the room was too large."""


class RoomSplitter:
    """Reads a response in pieces, calls `on_room` with each room, and collects the rest.

    Raises `Unreachable` where the response was cut off, or does not come from a homeserver.
    """

    def __init__(self, on_room: OnRoomText) -> None:
        self._on_room = on_room
        self._tail = b""
        self._level = _OUTSIDE
        self._started = False
        self._key = b'""'
        self._section = ""
        self._depth = 0
        """The depth inside a value that is read as a whole; 0 is outside of such a value."""
        self._room: str | None = None
        self._room_text: list[bytes] = []
        self._room_bytes = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Read the next piece."""
        data, at = self._tail + piece, 0
        while True:
            start = at
            at = self._skip_value(data, at) if self._depth else self._step(data, at)
            if at == start:
                break
        self._tail = data[at:]
        if len(self._tail) > ROOM_BYTES:
            raise Unreachable("broken", "the answer has a text that is too long")

    def finish(self) -> Any:
        """Return the response without its rooms."""
        if self._level != _OUTSIDE or not self._started:
            raise Unreachable("broken", "the answer is cut off")
        return parse_sync(b"".join(self._rest))

    def _step(self, data: bytes, at: int) -> int:
        """Read up to the next string or bracket and return its end, or `at` where there is none yet."""
        found = _STEP.match(data, at)
        if found is None:
            return at
        text, bracket = found.group(1, 2)
        if self._level != _SECTION:
            self._add_rest(data[at : found.end()])
        if text is not None:
            self._key = text
        elif bracket in b"{[":
            self._open(bracket)
        elif bracket == b"]" or self._level == _OUTSIDE:
            raise Unreachable("broken", "the answer is not a JSON object")
        else:
            if self._level == _SECTION:
                self._add_rest(bracket)
            self._level -= 1
        return found.end()

    def _open(self, bracket: bytes) -> None:
        if self._level == _OUTSIDE:
            if self._started or bracket != b"{":
                raise Unreachable("broken", "the answer is not a JSON object")
            self._level, self._started = _RESPONSE, True
        elif bracket == b"{" and self._level == _RESPONSE and self._key == _ROOMS_KEY:
            self._level = _ROOMS
        elif bracket == b"{" and self._level == _ROOMS:
            self._level, self._section = _SECTION, str(parse_json(self._key))
        else:
            self._depth = 1
            if self._level == _SECTION:
                self._room = str(parse_json(self._key))
                self._room_text, self._room_bytes = [bracket], 1

    def _skip_value(self, data: bytes, at: int) -> int:
        """Read the current value as far as it has arrived, and return that position."""
        start = at
        while self._depth and (found := _BRACKET.match(data, at)) is not None:
            self._depth += 1 if found[1] in b"{[" else -1
            at = found.end()
        if self._room is None:
            self._add_rest(data[start:at])
        elif at > start:
            self._room_bytes += at - start
            self._room_text.append(data[start:at])
            if self._room_bytes > ROOM_BYTES:
                self._room_text.clear()
            if not self._depth:
                self._end_room()
        return at

    def _end_room(self) -> None:
        room, text = self._room, None
        if self._room_bytes <= ROOM_BYTES:
            text = b"".join(self._room_text)
        self._room, self._room_text = None, []
        assert room is not None
        self._on_room(self._section, room, text)

    def _add_rest(self, text: bytes) -> None:
        self._rest.append(text)
        self._rest_bytes += len(text)
        if self._rest_bytes > REST_BYTES:
            raise Unreachable(
                "broken", f"the answer has more than {REST_BYTES} bytes besides rooms"
            )

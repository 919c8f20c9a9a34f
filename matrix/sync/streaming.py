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

TakeRoom = Callable[[str, str, bytes | None], None]
"""Called with a room's section, id and text, or no text where the room was too large."""


class RoomSplitter:
    """Takes a response in pieces, calls `take` with each room, and keeps the rest."""

    def __init__(self, take: TakeRoom) -> None:
        self._take = take
        self._tail = b""
        self._level = _OUTSIDE
        self._started = False
        self._key = b'""'
        self._section = ""
        self._depth = 0
        """The depth inside a value that is taken as a whole; 0 is outside of such a value."""
        self._room: str | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Read the next piece.

        Raises:
            Unreachable: it does not come from a homeserver.
        """
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
        """Return the response without its rooms.

        Raises:
            Unreachable: it was cut off, or does not come from a homeserver.
        """
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
            self._keep(data[at : found.end()])
        if text is not None:
            self._key = text
        elif bracket in b"{[":
            self._open(bracket)
        elif bracket == b"]" or self._level == _OUTSIDE:
            raise Unreachable("broken", "the answer is not a JSON object")
        else:
            if self._level == _SECTION:
                self._keep(bracket)
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
                self._kept, self._kept_bytes = [bracket], 1

    def _skip_value(self, data: bytes, at: int) -> int:
        """Read the current value as far as it has arrived, and return that position."""
        start = at
        while self._depth and (found := _BRACKET.match(data, at)) is not None:
            self._depth += 1 if found[1] in b"{[" else -1
            at = found.end()
        if self._room is None:
            self._keep(data[start:at])
        elif at > start:
            self._kept_bytes += at - start
            self._kept.append(data[start:at])
            if self._kept_bytes > ROOM_BYTES:
                self._kept.clear()
            if not self._depth:
                self._end_room()
        return at

    def _end_room(self) -> None:
        room, text = self._room, None
        if self._kept_bytes <= ROOM_BYTES:
            text = b"".join(self._kept)
        self._room, self._kept = None, []
        assert room is not None
        self._take(self._section, room, text)

    def _keep(self, text: bytes) -> None:
        self._rest.append(text)
        self._rest_bytes += len(text)
        if self._rest_bytes > REST_BYTES:
            raise Unreachable(
                "broken", f"the answer has more than {REST_BYTES} bytes besides rooms"
            )

"""Readers of sync responses: of the live sync, and of the full-state sync of a start (contract L3).

The full state of 10 000 rooms is 19 MB of text, and 100 MB as a parsed tree. So each room is parsed, read for all
purposes, and freed before the next one.
"""

from collections.abc import Container
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from machines.events.matrix import SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from machines.room.topology import ObservedRoom, Topology
from matrix.http.parsing import parse_sync
from matrix.raw_events import as_dict, section_events
from matrix.sync.decoding import OnRoom, SyncDecoder
from matrix.sync.read_position import RoomsToRead, is_fully_read, read_position_in
from matrix.sync.streaming import RoomSplitter
from matrix.sync.timeline import JoinedRoom
from matrix.sync.topology import room_of_sync

_RENAME = "!rename"


class FullState(Struct, frozen=True):
    """The result of a full-state sync."""

    batch: SyncBatch
    topology: Topology
    rooms_to_read: RoomsToRead


class SyncReader:
    """Reads a sync response, at once or in pieces, into a `SyncBatch`: a `BodyReader`."""

    def __init__(
        self,
        bot: UserId,
        since: SyncToken | None,
        on_room: OnRoom | None = None,
        joined_before: Container[RoomId] = frozenset(),
    ) -> None:
        self.decoder = SyncDecoder(bot, since, on_room, joined_before)
        self._splitter = RoomSplitter(self.decoder.room)

    def whole(self, body: bytes) -> Any:
        """Return the result of a complete response."""
        return self.result(parse_sync(body))

    def feed(self, piece: bytes) -> None:
        """Read the next piece."""
        self._splitter.feed(piece)

    def finish(self) -> Any:
        """Return the result of all pieces."""
        return self.result(self._splitter.finish())

    def result(self, response: object) -> Any:
        """Decode the rest of the response, and return the result."""
        return self.decoder.finish(response)


class FullStateReader(SyncReader):
    """Reads a full-state response into a `FullState`."""

    def __init__(self, bot: UserId, since: SyncToken | None) -> None:
        super().__init__(bot, since, self._read_room)
        self._bot = bot
        self._since = since
        self._rooms: dict[RoomId, ObservedRoom] = {}
        self._rooms_to_read: dict[RoomId, EventId | None] = {}

    def result(self, response: object) -> FullState:
        """Decode the rest of the response, and return the result."""
        batch = self.decoder.finish(response)
        topology = Topology(self._bot, self._rooms, unread=frozenset(self.decoder.oversized))
        return FullState(batch, topology, self._rooms_to_read)

    def _read_room(self, room_id: RoomId, room: JoinedRoom) -> None:
        observed = room_of_sync(room_id, room, self._bot)
        # The state may be that before the last message: a `!rename` there changed the name afterwards.
        if self._since is None and _may_rename(room):
            observed = replace(observed, name=None)
        self._rooms[room_id] = observed
        position = read_position_in(room)
        if not is_fully_read(room, position):
            self._rooms_to_read[room_id] = position


def _may_rename(room: JoinedRoom) -> bool:
    """Whether the last message of others is a `!rename`, or is encrypted."""
    events = section_events(room, "timeline")
    last = as_dict(events[-1]) if events else {}
    body = as_dict(last.get("content")).get("body")
    renames = type(body) is str and body.lstrip().lower().startswith(_RENAME)
    return renames or last.get("type") == "m.room.encrypted"

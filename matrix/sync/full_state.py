"""The one full-state sync of a start, read room by room (contract L3).

For 10 000 rooms it is 19 MB of text, and a tree of 100 MB if it is read as a whole. So each room is read, looked at
from all sides, and let go before the next.
"""

from collections.abc import Callable, Container

from msgspec import Struct
from msgspec.structs import replace

from machines.facts import SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from machines.topology import ObservedRoom, Topology
from matrix.http.parsing import parse_sync
from matrix.sync.decoding import JoinedRoom, SyncDecoder
from matrix.sync.resuming import Unsettled, is_settled, read_position_in_sync
from matrix.sync.streaming import RoomSplitter
from matrix.sync.topology import room_of_sync

_RENAME = "!rename"


class FullState(Struct, frozen=True):
    """All that is taken from a full-state sync."""

    batch: SyncBatch
    topology: Topology
    unsettled: Unsettled


def read_full_state(body: bytes, bot: UserId, since: SyncToken | None) -> FullState:
    """Read the body of the response.

    Raises:
        Unreachable: it is not a homeserver's.
    """
    return FullStateReader(bot, since).whole(body)


class FullStateReader:
    """Reads a response, whole or in pieces where it is too long for that."""

    def __init__(self, bot: UserId, since: SyncToken | None) -> None:
        self._bot = bot
        self._rooms: dict[RoomId, ObservedRoom] = {}
        self._unsettled: dict[RoomId, EventId | None] = {}
        self._since = since
        self._decoder = SyncDecoder(bot, since, self._look)
        self._splitter = RoomSplitter(self._decoder.room)

    def whole(self, body: bytes) -> FullState:
        """Read all of it at once.

        Raises:
            Unreachable: it is not a homeserver's.
        """
        return self._read(parse_sync(body))

    def feed(self, piece: bytes) -> None:
        """Read the next piece.

        Raises:
            Unreachable: it is not a homeserver's.
        """
        self._splitter.feed(piece)

    def finish(self) -> FullState:
        """Return what was read in pieces.

        Raises:
            Unreachable: it was cut off, or is not a homeserver's.
        """
        return self._read(self._splitter.finish())

    def _read(self, response: object) -> FullState:
        batch = self._decoder.finish(response)
        topology = Topology(self._bot, self._rooms, unread=frozenset(self._decoder.oversized))
        return FullState(batch, topology, self._unsettled)

    def _look(self, room_id: RoomId, room: JoinedRoom) -> None:
        seen = room_of_sync(room_id, room, self._bot)
        # The state shown may be that before the last message: what a `!rename` asked for came behind it.
        if self._since is None and _may_ask_for_another_name(room):
            seen = replace(seen, name=None)
        self._rooms[room_id] = seen
        place = read_position_in_sync(room)
        if not is_settled(room, place):
            self._unsettled[room_id] = place


class SyncReader:
    """Reads the response of a long poll in pieces."""

    def __init__(
        self,
        bot: UserId,
        since: SyncToken,
        look: Callable[[RoomId, JoinedRoom], None] | None = None,
        known: Container[RoomId] = frozenset(),
    ) -> None:
        self._decoder = SyncDecoder(bot, since, look, known)
        self._splitter = RoomSplitter(self._decoder.room)

    def feed(self, piece: bytes) -> None:
        """Read the next piece.

        Raises:
            Unreachable: it is not a homeserver's.
        """
        self._splitter.feed(piece)

    def finish(self) -> SyncBatch:
        """Return what was read.

        Raises:
            Unreachable: it was cut off, or is not a homeserver's.
        """
        return self._decoder.finish(self._splitter.finish())


def _may_ask_for_another_name(room: JoinedRoom) -> bool:
    """Whether the last message of others is a `!rename`, or can't be read."""
    timeline = room.get("timeline")
    events = timeline.get("events") if type(timeline) is dict else None
    last = events[-1] if type(events) is list and events else None
    if type(last) is not dict:
        return False
    content = last.get("content")
    body = content.get("body") if type(content) is dict else None
    asks = type(body) is str and body.lstrip().lower().startswith(_RENAME)
    return asks or last.get("type") == "m.room.encrypted"

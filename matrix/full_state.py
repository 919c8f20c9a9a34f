"""The one full-state sync of a start, read room by room (contract L3).

For 10 000 rooms it is 19 MB of text, and a tree of 100 MB if it is read as a whole. So each room is read, looked at
from all sides, and let go before the next.
"""

from msgspec import Struct

from machines.facts import SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from machines.topology import ObservedRoom, Topology
from matrix.decoding import JoinedRoom, decode_sync
from matrix.parsing import parse_sync
from matrix.resuming import Unsettled, is_settled, place_in_sync
from matrix.topology import room_of_sync


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
    rooms: dict[RoomId, ObservedRoom] = {}
    unsettled: dict[RoomId, EventId | None] = {}

    def look(room_id: RoomId, room: JoinedRoom) -> None:
        rooms[room_id] = room_of_sync(room_id, room, bot)
        place = place_in_sync(room)
        if not is_settled(room, place):
            unsettled[room_id] = place

    batch = decode_sync(parse_sync(body), bot, since, look)
    return FullState(batch, Topology(bot, rooms), unsettled)

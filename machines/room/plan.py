"""The input and the result of reconciliation: the values of `machines/room/reconcile.py`."""

from collections.abc import Mapping

from msgspec import Struct, field

from machines.events.internal import TopologyConfirmed
from machines.ids import RoomId, UserId
from machines.room.state import Room
from machines.user.machine import User


class Stored(Struct, frozen=True):
    """What the local tables say.

    `in_flight` are rooms with something in flight, a chat being made or an order still in the outbox: their local
    row is newer than the homeserver, and it stays.
    """

    rooms: Mapping[RoomId, Room] = field(default_factory=dict)
    users: Mapping[UserId, User] = field(default_factory=dict)
    platform_chat_seq: int = 0
    in_flight: frozenset[RoomId] = frozenset()


class Remark(Struct, frozen=True):
    """A room that is in conflict or was skipped, and why (contract L5)."""

    room_id: RoomId
    reason: str


class Plan(Struct, frozen=True):
    """The result of reconciliation.

    `found` are all rooms whose binding is known; of these `changed` have another row, `unchanged` the same. `refused`
    are stored rooms that the bot is in and that have no binding (any more); `gone` are stored rooms it is not in.
    """

    found: Mapping[RoomId, TopologyConfirmed]
    changed: tuple[RoomId, ...]
    unchanged: tuple[RoomId, ...]
    refused: Mapping[RoomId, str]
    gone: tuple[RoomId, ...]
    users: tuple[User, ...]
    platform_chat_seq: int
    spaces: int
    conflicts: tuple[Remark, ...]
    skipped: tuple[Remark, ...]

    @property
    def backfilled(self) -> tuple[RoomId, ...]:
        """Return the rooms whose binding is to be written on the homeserver."""
        return tuple(room_id for room_id, found in self.found.items() if found.backfill)

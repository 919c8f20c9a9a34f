"""The input and the result of reconciliation (`machines/room/reconcile.py`)."""

from collections.abc import Mapping

from msgspec import Struct, field

from machines.events.internal import TopologyConfirmed
from machines.ids import RoomId, UserId
from machines.room.state import Room
from machines.user.machine import User


class StoredState(Struct, frozen=True):
    """The rows of the local tables.

    `in_flight` are the rooms of a chat that is being created, and rooms with an order in the outbox: their row is newer
    than the homeserver, so it stays unchanged.
    """

    rooms: Mapping[RoomId, Room] = field(default_factory=dict)
    users: Mapping[UserId, User] = field(default_factory=dict)
    platform_chat_seq: int = 0
    in_flight: frozenset[RoomId] = frozenset()


class Remark(Struct, frozen=True):
    """A room that is in conflict or was skipped, with the reason (contract L5)."""

    room_id: RoomId
    reason: str


class Plan(Struct, frozen=True):
    """The result of reconciliation.

    `found` are all rooms with a valid binding: the rows of `changed` rooms differ from it, those of `unchanged` rooms
    do not. `refused` are stored rooms that the bot is in and that have no valid binding; `gone` are stored rooms it
    is not in.
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
        """Return the rooms whose binding is to be written to the homeserver."""
        return tuple(room_id for room_id, found in self.found.items() if found.backfill)

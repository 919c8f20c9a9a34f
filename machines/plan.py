"""What reconciliation compares, and what it comes to: the values of `machines/reconcile.py`."""

from collections.abc import Mapping

from msgspec import Struct, field

from machines.binding import Binding
from machines.ids import RoomId, UserId
from machines.room import Room
from machines.user import User


class Stored(Struct, frozen=True):
    """What the local tables say.

    `left_alone` are rooms that something is under way for, a chat being made or an order still in the
    outbox: for them the local row is newer than the homeserver, and it stays.
    """

    rooms: Mapping[RoomId, Room] = field(default_factory=dict)
    users: Mapping[UserId, User] = field(default_factory=dict)
    platform_chat_seq: int = 0
    left_alone: frozenset[RoomId] = frozenset()


class Found(Struct, frozen=True):
    """What one room is, as the homeserver shows it. `backfill`: its binding there is to be written.

    `others` is how many others are in it; it is nothing that a row could differ in (contract C5).
    """

    binding: Binding
    name: str
    encrypted: bool
    backfill: bool
    others: int | None = None


class Remark(Struct, frozen=True):
    """A room that is in conflict or was skipped, and why (contract L5)."""

    room_id: RoomId
    reason: str


class Plan(Struct, frozen=True):
    """What reconciliation comes to.

    `found` are all rooms that are something; `changed` those whose row is not so; `refused` are stored
    rooms that the bot is in and that are nothing (any more); `gone` are stored rooms it is not in.
    """

    found: Mapping[RoomId, Found]
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

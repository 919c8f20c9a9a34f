"""The homeserver's view of the bot's rooms: the authority that reconciliation reads (contract C1).

`matrix` builds it from raw server state, never from a client library's room model. It is not validated: a child link
may be forged, a binding may be invalid. `reconcile` validates it.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from machines.ids import RoomId, UserId
from machines.room.binding import OwnerMembership


class ObservedChild(Struct, frozen=True):
    """An `m.space.child` state event with its sender and its `via` servers (empty when removed)."""

    room_id: RoomId
    sender: UserId
    via: tuple[str, ...]


class ObservedRoom(Struct, frozen=True):
    """One room the bot is joined to.

    `created_by` is the sender of `m.room.create`. `invited_by` is the sender of the invitation that the bot accepted,
    if the server still shows it. `members` are the other members (joined or invited), `None` if they were not read;
    `others` is their number, if it is known. `binding` is the raw content of the room account data
    `org.lambda.surfaces.room`. `owner_membership` is the membership of the owner of a chat or Space, if it is known.
    """

    room_id: RoomId
    created_by: UserId | None
    created_at_ms: int
    is_space: bool = False
    nonce: str | None = None
    invited_by: UserId | None = None
    children: tuple[ObservedChild, ...] = ()
    members: tuple[UserId, ...] | None = None
    name: str | None = None
    encrypted: bool = False
    binding: Mapping[str, Any] | None = None
    others: int | None = None
    owner_membership: OwnerMembership | None = None


class Topology(Struct, frozen=True):
    """The rooms the bot is joined to: all of them (`whole`), or those that one repair needs.

    `former` are the bindings of rooms that the bot has left and that its Spaces still link: their ids are not reused
    (contract R3). `unread` are rooms whose part of the sync was too large to be read.
    """

    bot: UserId
    rooms: Mapping[RoomId, ObservedRoom]
    former: Mapping[RoomId, Mapping[str, Any]] = field(default_factory=dict)
    whole: bool = True
    unread: frozenset[RoomId] = frozenset()

    def is_own_space(self, room: ObservedRoom) -> bool:
        """Whether this is a Space that the bot created (contract C2)."""
        return room.is_space and room.created_by == self.bot

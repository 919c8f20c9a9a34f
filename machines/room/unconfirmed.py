"""The parts of the current state to read before the plan of a full-state sync is applied (contract L3).

A sync shows the state after a room's last event, and misses one branch where two events have the same predecessor
(fact 19). So everything that would make a room skipped, refused, unbound or a conflict, and everything that contradicts
a stored row, is read from the current state first. Where the sync agrees with the rows, nothing is read.

Some parts cannot be wrong: a room's creator is in every state of it, and bindings are account data. Rooms of others
are completed from the current state anyway, and encryption is checked before the bot writes to a room.
"""

from msgspec import Struct

from machines.ids import RoomId
from machines.room.plan import Plan, Stored
from machines.room.topology import ObservedRoom, Topology

Link = tuple[RoomId, RoomId]
"""A Space, and a child that it may link."""


class Unconfirmed(Struct, frozen=True):
    """What to read.

    The creator of `created` rooms is not known; the name of `named` rooms is missing or differs from the row. `linked`
    are links that may exist or not; for `unlinked` rooms the Spaces that they claim are read first. `unseen` are rooms
    that the sync did not show as joined.
    """

    created: frozenset[RoomId] = frozenset()
    named: frozenset[RoomId] = frozenset()
    linked: frozenset[Link] = frozenset()
    unlinked: frozenset[RoomId] = frozenset()
    unseen: frozenset[RoomId] = frozenset()

    @property
    def none(self) -> bool:
        """Whether there is nothing to read."""
        return self == _NONE


_NONE = Unconfirmed()


def doubts(decided: Plan, topology: Topology, stored: Stored) -> Unconfirmed:
    """Return what has to be read before a plan that was made from a sync alone may be applied."""
    listing: dict[RoomId, set[RoomId]] = {}
    unseen = {*decided.gone, *topology.unread}
    for space in topology.rooms.values():
        for child in space.children if _is_own_space(space, topology) else ():
            listing.setdefault(child.room_id, set()).add(space.room_id)
            if child.via and child.room_id not in topology.rooms:
                unseen.add(child.room_id)
    remarked = {remark.room_id for remark in (*decided.conflicts, *decided.skipped)}
    created: set[RoomId] = set()
    named: set[RoomId] = set()
    linked: set[Link] = set()
    unlinked: set[RoomId] = set()
    for room in topology.rooms.values():
        room_id = room.room_id
        if room.created_by is None:
            created.add(room_id)
        if room.created_by != topology.bot or room_id in stored.in_flight:
            continue
        if _has_other_name(room, stored):
            named.add(room_id)
        if room_id in remarked or _has_other_place(room_id, decided, stored):
            spaces = listing.get(room_id, set()) | _named_spaces(room, stored)
            linked.update((space_id, room_id) for space_id in spaces)
            if not spaces and not room.is_space:
                unlinked.add(room_id)
    for room_id in remarked - set(topology.rooms):
        linked.update((space_id, room_id) for space_id in listing.get(room_id, ()))
    return Unconfirmed(
        frozenset(created),
        frozenset(named),
        frozenset(linked),
        frozenset(unlinked),
        frozenset(unseen),
    )


def _is_own_space(room: ObservedRoom, topology: Topology) -> bool:
    return room.is_space and room.created_by == topology.bot


def _has_other_name(room: ObservedRoom, stored: Stored) -> bool:
    row = stored.rooms.get(room.room_id)
    if not room.name:
        return row is None or bool(row.name)
    return row is not None and row.name != room.name


def _has_other_place(room_id: RoomId, decided: Plan, stored: Stored) -> bool:
    """Whether the plan gives a bound room another binding than its row has, or none."""
    row, found = stored.rooms.get(room_id), decided.found.get(room_id)
    if found is None:
        return True
    return row is not None and row.state == "bound" and row.binding != found.binding


def _named_spaces(room: ObservedRoom, stored: Stored) -> set[RoomId]:
    """Return the Spaces that may link a room: of its binding, of its row, and of its owner."""
    claimed = (room.binding or {}).get("space_id")
    named = {RoomId(claimed)} if isinstance(claimed, str) else set()
    row = stored.rooms.get(room.room_id)
    if row is not None and row.binding is not None:
        user = stored.users.get(row.binding.matrix_user_id)
        named |= {row.binding.space_id} if row.binding.space_id is not None else set()
        named |= {user.space_id} if user is not None and user.space_id is not None else set()
    return named - {room.room_id}

"""The parts of the current state to read before the plan of a full-state sync is applied (contract L3).

A sync shows the state after a room's last event, and misses one branch where two events have the same predecessor
(fact 19). So everything that would make a room skipped, refused, unbound or a conflict, and everything that contradicts
a stored row, is read from the current state first. Where the sync agrees with the rows, nothing is read.

Some parts cannot be wrong: a room's creator is in every state of it, and bindings are account data. Rooms that others
created are completed from the current state anyway, and encryption is checked before the bot writes to a room.
"""

from msgspec import Struct

from machines.ids import RoomId
from machines.room.plan import Plan, StoredState
from machines.room.topology import ObservedRoom, Topology

Link = tuple[RoomId, RoomId]
"""A Space, and a child that it may link."""


class Unconfirmed(Struct, frozen=True):
    """What to read: the creator, the name, the parent Spaces, or the bot's membership of rooms, and links.

    The Spaces are those that a room names as its parents; their links to it are read too.
    """

    creators: frozenset[RoomId] = frozenset()
    names: frozenset[RoomId] = frozenset()
    links: frozenset[Link] = frozenset()
    parents: frozenset[RoomId] = frozenset()
    memberships: frozenset[RoomId] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return self == Unconfirmed()


def find_unconfirmed(plan: Plan, topology: Topology, stored: StoredState) -> Unconfirmed:
    """Return what to read before a plan that was computed from a sync alone may be applied."""
    linking_spaces: dict[RoomId, set[RoomId]] = {}
    memberships = {*plan.gone, *topology.unread}
    for space in topology.rooms.values():
        for child in space.children if topology.is_own_space(space) else ():
            linking_spaces.setdefault(child.room_id, set()).add(space.room_id)
            if child.via and child.room_id not in topology.rooms:
                memberships.add(child.room_id)
    remarked = {remark.room_id for remark in (*plan.conflicts, *plan.skipped)}
    creators: set[RoomId] = set()
    names: set[RoomId] = set()
    links: set[Link] = set()
    parents: set[RoomId] = set()
    for room in topology.rooms.values():
        room_id = room.room_id
        if room.created_by is None:
            creators.add(room_id)
        if room.created_by != topology.bot or room_id in stored.in_flight:
            continue
        if _name_differs(room, stored):
            names.add(room_id)
        if room_id in remarked or _binding_differs(room_id, plan, stored):
            spaces = linking_spaces.get(room_id, set()) | _known_spaces(room, stored)
            links.update((space_id, room_id) for space_id in spaces)
            if not spaces and not room.is_space:
                parents.add(room_id)
    for room_id in remarked - set(topology.rooms):
        links.update((space_id, room_id) for space_id in linking_spaces.get(room_id, ()))
    return Unconfirmed(
        frozenset(creators),
        frozenset(names),
        frozenset(links),
        frozenset(parents),
        frozenset(memberships),
    )


def _name_differs(room: ObservedRoom, stored: StoredState) -> bool:
    row = stored.rooms.get(room.room_id)
    if not room.name:
        return row is None or bool(row.name)
    return row is not None and row.name != room.name


def _binding_differs(room_id: RoomId, plan: Plan, stored: StoredState) -> bool:
    """Whether the plan gives a bound room another binding than its row has, or none."""
    row, found = stored.rooms.get(room_id), plan.found.get(room_id)
    if found is None:
        return True
    return row is not None and row.state == "bound" and row.binding != found.binding


def _known_spaces(room: ObservedRoom, stored: StoredState) -> set[RoomId]:
    """Return the Spaces that may link a room: those of its binding, of its row, and of its owner."""
    space_id = (room.binding or {}).get("space_id")
    spaces = {RoomId(space_id)} if isinstance(space_id, str) else set()
    row = stored.rooms.get(room.room_id)
    if row is not None and row.binding is not None:
        user = stored.users.get(row.binding.matrix_user_id)
        spaces |= {row.binding.space_id} if row.binding.space_id is not None else set()
        spaces |= {user.space_id} if user is not None and user.space_id is not None else set()
    return spaces - {room.room_id}

"""Reads the unconfirmed parts of a full-state sync from the current state (contract L3): a few requests a room."""

from functools import partial

from msgspec.structs import replace

from machines.ids import RoomId
from machines.room.topology import Topology
from machines.room.unconfirmed import Link, Unconfirmed
from matrix.http.request import run_reads
from matrix.rooms.current_state import CurrentState, StateReader
from matrix.rooms.observe import Observer, own_spaces
from matrix.sync.topology import child_link, observed_room, parents_of

# The limit for the Spaces that a room names as its parents.
_MAX_PARENTS = 4


async def confirm(
    current: CurrentState, observer: Observer, topology: Topology, unconfirmed: Unconfirmed
) -> Topology:
    """Return the topology with its unconfirmed parts read again; a part that can't be read stays unchanged."""
    return await _Confirmation(current.reader(), observer, topology).read(unconfirmed)


class _Confirmation:
    """One pass over the unconfirmed parts of one topology."""

    def __init__(self, reader: StateReader, observer: Observer, topology: Topology) -> None:
        self._reader = reader
        self._observer = observer
        self._topology = topology
        self._rooms = dict(topology.rooms)

    async def read(self, unconfirmed: Unconfirmed) -> Topology:
        """Read the rooms themselves first, then the links, because a parent may be a Space just read."""
        links = set(unconfirmed.links)
        joined = await self._reader.joined_rooms() if unconfirmed.memberships else None
        to_read = unconfirmed.creators | (unconfirmed.memberships & (joined or frozenset()))
        await run_reads(
            [
                *(partial(self._read_room, room_id) for room_id in to_read),
                *(partial(self._read_name, room_id) for room_id in unconfirmed.names),
                *(partial(self._read_parents, room_id, links) for room_id in unconfirmed.parents),
            ]
        )
        own = {space.room_id for space in own_spaces(self._rooms, self._topology.bot)}
        await run_reads(partial(self._read_link, *link) for link in sorted(links) if link[0] in own)
        return replace(self._topology, rooms=self._rooms)

    async def _read_room(self, room_id: RoomId) -> None:
        read = await self._observer.read(self._reader, room_id)
        if read is not None:
            self._rooms[room_id] = read[0]

    async def _read_name(self, room_id: RoomId) -> None:
        event = await self._reader.event(room_id, "m.room.name")
        if event is not None:
            state = {("m.room.name", ""): dict(event)}
            named = observed_room(room_id, state, None, self._topology.bot)
            self._rooms[room_id] = replace(self._rooms[room_id], name=named.name)

    async def _read_parents(self, room_id: RoomId, links: set[Link]) -> None:
        state = await self._reader.whole(room_id)
        for space_id in parents_of(state or {})[:_MAX_PARENTS]:
            links.add((space_id, room_id))

    async def _read_link(self, space_id: RoomId, room_id: RoomId) -> None:
        current = child_link(await self._reader.event(space_id, "m.space.child", room_id))
        if current is not None:  # state is replaced, never removed: an absent link was never set
            space = self._rooms[space_id]
            others = tuple(child for child in space.children if child.room_id != room_id)
            self._rooms[space_id] = replace(space, children=(*others, current))

"""Reads from the current state what a full-state sync left in doubt (contract L3), a few requests a room."""

from collections.abc import Iterable
from typing import Any

import anyio
from msgspec.structs import replace

from machines.doubts import Doubts, Link
from machines.ids import RoomId
from machines.topology import ObservedRoom, Topology
from matrix.http.transport import MAX_CONCURRENT_READS
from matrix.rooms.current_state import CurrentState, StateReader
from matrix.rooms.observe import Observer
from matrix.sync.topology import child_link, observed_room, parents_of

# Of the Spaces that a room claims as its parents.
_MAX_CLAIMS = 4


async def confirm(
    current: CurrentState, observer: Observer, topology: Topology, doubts: Doubts
) -> Topology:
    """Return the topology with what was in doubt as it currently is; what can't be read stays as it was."""
    return await _Confirmation(current.reader(), observer, topology).read(doubts)


class _Confirmation:
    """One pass over the doubts of one topology."""

    def __init__(self, reader: StateReader, observer: Observer, topology: Topology) -> None:
        self._reader = reader
        self._observer = observer
        self._topology = topology
        self._rooms = dict(topology.rooms)
        self._limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

    async def read(self, doubts: Doubts) -> Topology:
        """Read the rooms themselves first, then the links, because a claim may name a Space just read."""
        links = set(doubts.linked)
        joined = await self._reader.joined_rooms() if doubts.unseen else None
        async with anyio.create_task_group() as tasks:
            for room_id in doubts.created | (doubts.unseen & (joined or frozenset())):
                tasks.start_soon(self._limited, self._read_room, room_id)
            for room_id in doubts.named:
                tasks.start_soon(self._limited, self._read_name, room_id)
            for room_id in doubts.unlinked:
                tasks.start_soon(self._limited, self._read_claims, room_id, links)
        async with anyio.create_task_group() as tasks:
            for link in self._to_own_spaces(links):
                tasks.start_soon(self._limited, self._read_link, link)
        return replace(self._topology, rooms=self._rooms)

    async def _limited(self, read: Any, *arguments: Any) -> None:
        async with self._limit:
            await read(*arguments)

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

    async def _read_claims(self, room_id: RoomId, links: set[Link]) -> None:
        state = await self._reader.whole(room_id)
        for space_id in parents_of(state or {})[:_MAX_CLAIMS]:
            links.add((space_id, room_id))

    def _to_own_spaces(self, links: Iterable[Link]) -> list[Link]:
        return sorted(link for link in links if self._is_own_space(self._rooms.get(link[0])))

    def _is_own_space(self, room: ObservedRoom | None) -> bool:
        return room is not None and room.is_space and room.created_by == self._topology.bot

    async def _read_link(self, link: Link) -> None:
        space_id, room_id = link
        current = child_link(await self._reader.event(space_id, "m.space.child", room_id))
        if current is not None:  # state is replaced, never taken away: an absent link was never set
            space = self._rooms[space_id]
            others = tuple(child for child in space.children if child.room_id != room_id)
            self._rooms[space_id] = replace(space, children=(*others, current))

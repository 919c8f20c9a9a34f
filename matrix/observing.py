"""Looks at rooms through read requests: what the sync did not tell, and one room for one repair (C7).

Only GET requests; a room that can't be read is left out of what is observed, and reconciliation says why.
"""

from collections.abc import Mapping
from typing import Any

import anyio
from msgspec.structs import replace

from machines.ids import RoomId, UserId
from machines.topology import ObservedRoom, Topology
from matrix.calls import Call, client_path
from matrix.errors import RequestRefused
from matrix.events import is_id, own_membership, previous_membership
from matrix.filters import BINDING_TYPE
from matrix.topology import (
    StateMap,
    inviter,
    members_of,
    observed_room,
    parents_of,
    state_map,
)
from matrix.transport import Transport

MAX_CONCURRENT_READS = 20

# A room that names no Space of ours is looked for in so many of them.
_MAX_SPACES_ASKED = 100

# A membership event is replaced at every change of the bot's display name.
_MAX_EARLIER_MEMBERSHIPS = 5


class Observer:
    """Reads rooms in the name of one bot."""

    def __init__(self, transport: Transport, bot: UserId) -> None:
        self._transport = transport
        self._bot = bot
        self._looked_into: set[RoomId] = set()
        self._own_spaces: set[RoomId] = set()
        self._holders: dict[RoomId, set[RoomId]] = {}

    def remember(self, topology: Topology) -> None:
        """Note the bot's own Spaces, among which a room without a claim is looked for, and what holds them."""
        self._looked_into.update(topology.rooms)
        own = {
            room.room_id: room
            for room in topology.rooms.values()
            if room.is_space and room.created_by == self._bot
        }
        self._own_spaces.update(own)
        for space in own.values():
            for child in space.children:
                if child.room_id in own and child.via:
                    self._holders.setdefault(child.room_id, set()).add(space.room_id)

    def remember_space(self, space_id: RoomId) -> None:
        """Note a Space that the bot has just made."""
        self._own_spaces.add(space_id)

    async def complete(self, topology: Topology) -> Topology:
        """Add what the sync does not tell: members of unbound Spaces, who invited us, former chats' numbers.

        Contracts C3, O6, R3.
        """
        rooms = dict(topology.rooms)
        former: dict[RoomId, Mapping[str, Any]] = {}
        async with anyio.create_task_group() as tasks:
            limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

            async def look(room: ObservedRoom) -> None:
                async with limit:
                    rooms[room.room_id] = await self._complete_room(room)

            async def look_back(room_id: RoomId) -> None:
                async with limit:
                    binding = await self._binding(room_id)
                if binding is not None:
                    former[room_id] = binding

            for room in topology.rooms.values():
                if self._is_incomplete(room):
                    tasks.start_soon(look, room)
            for room_id in self._former_chats(topology):
                tasks.start_soon(look_back, room_id)
        return replace(topology, rooms=rooms, former=former)

    def _former_chats(self, topology: Topology) -> set[RoomId]:
        """Return the rooms that the bot linked into its Spaces and is not joined to any more."""
        return {
            child.room_id
            for space in topology.rooms.values()
            if space.is_space and space.created_by == self._bot
            for child in space.children
            if child.sender == self._bot and child.via and child.room_id not in topology.rooms
        }

    async def observe(self, room_id: RoomId) -> Topology:
        """Look at one room, and at the Spaces that may hold it (contract C7)."""
        rooms: dict[RoomId, ObservedRoom] = {}
        state = await self._state(room_id)
        room = None if state is None else await self._read(room_id, state)
        if state is not None and room is not None:
            rooms[room_id] = room
            if not room.is_space:
                for space_id in await self._candidates(room, state):
                    await self._add(rooms, space_id)
                    for holder in await self._holders_of(space_id):
                        await self._add(rooms, holder)
        return Topology(self._bot, rooms, whole=False)

    async def _add(self, rooms: dict[RoomId, ObservedRoom], room_id: RoomId) -> None:
        state = await self._state(room_id) if room_id not in rooms else None
        if state is not None:
            rooms[room_id] = await self._read(room_id, state)

    def _is_incomplete(self, room: ObservedRoom) -> bool:
        if room.binding is not None:
            return False
        if room.created_by == self._bot:
            return room.is_space and room.members is None
        return room.invited_by is None

    async def _complete_room(self, room: ObservedRoom) -> ObservedRoom:
        if room.created_by == self._bot:
            return replace(room, members=await self._members(room.room_id))
        membership = await self._own_membership(room.room_id)
        return replace(room, invited_by=await self._inviter(room.room_id, membership))

    async def _read(self, room_id: RoomId, state: StateMap) -> ObservedRoom:
        room = observed_room(
            room_id,
            state,
            await self._binding(room_id),
            self._bot,
            members_of(state, self._bot),
        )
        if room.invited_by is None and room.created_by != self._bot:
            membership = state.get(("m.room.member", self._bot))
            room = replace(room, invited_by=await self._inviter(room_id, membership))
        return room

    async def _binding(self, room_id: RoomId) -> Mapping[str, Any] | None:
        """Return a room's binding; the homeserver keeps it for rooms that were left, too."""
        binding = await self._get("user", self._bot, "rooms", room_id, "account_data", BINDING_TYPE)
        return binding if isinstance(binding, dict) and binding else None

    async def _candidates(self, room: ObservedRoom, state: StateMap) -> list[RoomId]:
        """Return the Spaces worth looking at: bound to, claimed, or listing this room."""
        named = list(parents_of(state))
        bound = room.binding.get("space_id") if room.binding is not None else None
        if is_id(bound, "!"):
            named.insert(0, RoomId(bound))
        known = [space_id for space_id in dict.fromkeys(named) if space_id != room.room_id]
        if any(space_id in self._own_spaces for space_id in known):
            return known
        others = self._own_spaces - set(known)
        listing = await self._listing(room.room_id, others)
        if not listing and room.created_by == self._bot:
            await self._note_new_spaces()
            listing = await self._listing(room.room_id, self._own_spaces - others - set(known))
        return known + listing

    async def _note_new_spaces(self) -> None:
        """Look for Spaces that came to be without this process, through another client of the account."""
        answer = await self._get("joined_rooms")
        joined = answer.get("joined_rooms") if isinstance(answer, dict) else None
        async with anyio.create_task_group() as tasks:
            limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

            async def look(room_id: RoomId) -> None:
                async with limit:
                    create = await self._get("rooms", room_id, "state", "m.room.create", "")
                    is_space = isinstance(create, dict) and create.get("type") == "m.space"
                    state = await self._state(room_id) if is_space else None
                self._looked_into.add(room_id)
                if state is not None:
                    space = observed_room(room_id, state, None, self._bot)
                    self.remember(Topology(self._bot, {room_id: space}))

            for room_id in joined if isinstance(joined, list) else ():
                if is_id(room_id, "!") and room_id not in self._looked_into:
                    tasks.start_soon(look, RoomId(room_id))

    async def _holders_of(self, space_id: RoomId) -> list[RoomId]:
        """Return the bot's Spaces that a Space stands in; nothing in such a Space counts (contract C2)."""
        # Asked anew: a link may have been set since the Spaces were read.
        listed = await self._listing(space_id, self._own_spaces - {space_id})
        return sorted({*self._holders.get(space_id, ()), *listed})

    async def _listing(self, room_id: RoomId, spaces: set[RoomId]) -> list[RoomId]:
        """Return those Spaces that list a room."""
        listing: list[RoomId] = []
        async with anyio.create_task_group() as tasks:
            limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

            async def ask(space_id: RoomId) -> None:
                async with limit:
                    link = await self._get("rooms", space_id, "state", "m.space.child", room_id)
                if isinstance(link, dict) and link.get("via"):
                    listing.append(space_id)

            for space_id in sorted(spaces)[:_MAX_SPACES_ASKED]:
                tasks.start_soon(ask, space_id)
        return sorted(listing)

    async def _inviter(self, room_id: RoomId, membership: Any) -> UserId | None:
        """Follow the bot's own membership back to the invitation, event by event, never by history."""
        for _ in range(_MAX_EARLIER_MEMBERSHIPS):
            if not isinstance(membership, dict):
                return None
            content = own_membership(membership, self._bot)
            if content is None:
                return None
            if content.get("membership") == "invite":
                sender = membership.get("sender")
                return UserId(sender) if is_id(sender, "@") else None
            told = inviter(membership, self._bot)
            if told is not None:
                return told
            if previous_membership(membership) in ("leave", "ban"):
                return None  # joined without an invitation
            unsigned = membership.get("unsigned")
            earlier = unsigned.get("replaces_state") if isinstance(unsigned, dict) else None
            if not is_id(earlier, "$"):
                return None
            membership = await self._get("rooms", room_id, "event", earlier)
        return None

    async def _own_membership(self, room_id: RoomId) -> object:
        state = await self._state(room_id)
        return None if state is None else state.get(("m.room.member", self._bot))

    async def _members(self, room_id: RoomId) -> tuple[UserId, ...] | None:
        path = client_path("rooms", room_id, "members")
        try:
            answer = await self._transport.request(
                Call("GET", path, query={"not_membership": "leave"})
            )
        except RequestRefused:
            return None
        events = answer.get("chunk") if isinstance(answer, dict) else None
        return members_of(state_map(events), self._bot) if isinstance(events, list) else None

    async def _state(self, room_id: RoomId) -> StateMap | None:
        """Return a room's state, `None` when the bot is not joined to it or it can't be read."""
        events = await self._get("rooms", room_id, "state")
        if not isinstance(events, list):
            return None
        state = state_map(events)
        # After leaving, the homeserver still shows the state as it was.
        own = state.get(("m.room.member", self._bot))
        joined = own is not None and own["content"].get("membership") == "join"
        return state if joined else None

    async def _get(self, *segments: str) -> Any:
        """Return what a read request answers, `None` when it is refused."""
        try:
            return await self._transport.request(Call("GET", client_path(*segments)))
        except RequestRefused:
            return None

"""Observes rooms for reconciliation: what the initial sync left out, and one room for one repair (contract C7).

Makes only GET requests. A room that can't be read is left out, and reconciliation reports it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec.structs import replace

from machines.ids import RoomId, UserId
from machines.room.binding import read_stored_binding
from machines.room.topology import ObservedChild, ObservedRoom, Topology
from matrix.errors import RequestRefused
from matrix.http.request import run_reads
from matrix.raw_events import StateMap, as_dict, as_user_id, is_id
from matrix.rooms.current_state import CurrentState, StateEvent, StateReader
from matrix.sync.membership import membership_in_event, own_membership, previous_membership
from matrix.sync.topology import child_link, inviter, members_of, observed_room, parents_of

MAX_REPAIR_REQUESTS = 18
"""The limit for one repair, whatever the room's members wrote into it; with its writes at most 20 (contract C12)."""

# The limits for Spaces that a room names, and for Spaces that link it; the others are not read.
_MAX_NAMED_SPACES = 4
_MAX_LINKING_SPACES = 2

# Every change of the bot's display name replaces its membership event.
_MAX_EARLIER_MEMBERSHIPS = 5


class Observer:
    """Reads the rooms of one bot."""

    def __init__(self, current: CurrentState) -> None:
        self._current = current
        self._bot = current.bot
        self._known: set[RoomId] = set()
        self._own_spaces: set[RoomId] = set()
        self._containing: dict[RoomId, set[RoomId]] = {}

    def record(self, topology: Topology) -> None:
        """Record the bot's own Spaces, which are searched for rooms that name no parent, and which contain others."""
        self._known.update(topology.rooms)
        own = own_spaces(topology.rooms, self._bot)
        self._own_spaces.update(space.room_id for space in own)
        for space in own:
            for child in space.children:
                if child.room_id in self._own_spaces and child.via:
                    self._containing.setdefault(child.room_id, set()).add(space.room_id)

    def record_created(self, room_id: RoomId, *, is_space: bool) -> None:
        """Record a room that the bot has just created."""
        self._known.add(room_id)
        if is_space:
            self._own_spaces.add(room_id)

    # -- at start ----------------------------------------------------------------------------------

    async def complete(self, topology: Topology, *, without_rows: bool) -> Topology:
        """Add what the sync leaves out: members of unbound Spaces, who invited the bot, the numbers of former chats.

        Contracts C3, O6, R3. If the database was lost (`without_rows`), also whether an absent owner declined.
        """
        rooms = dict(topology.rooms)
        former: dict[RoomId, Mapping[str, Any]] = {}
        reader = self._current.reader()

        async def complete(room: ObservedRoom) -> None:
            rooms[room.room_id] = await self._complete_room(reader, room)

        async def read_former(room_id: RoomId) -> None:
            with suppress(RequestRefused):
                binding = await reader.binding(room_id)
                if binding is not None:
                    former[room_id] = binding

        async def read_owner(room_id: RoomId, owner: UserId) -> None:
            event = await reader.event(room_id, "m.room.member", owner)
            if event is not None:
                found = membership_in_event(event)
                rooms[room_id] = replace(rooms[room_id], owner_membership=found)

        absent = [
            (room.room_id, owner)
            for room in topology.rooms.values()
            if without_rows and room.owner_membership == "leave"
            if (owner := read_stored_binding(room.binding).matrix_user_id) is not None
        ]
        incomplete = filter(self._is_incomplete, topology.rooms.values())
        await run_reads(
            [
                *(partial(complete, room) for room in incomplete),
                *(partial(read_former, room_id) for room_id in self._former_chats(topology)),
            ]
        )
        await run_reads(partial(read_owner, *each) for each in absent)
        return replace(topology, rooms=rooms, former=former)

    def _former_chats(self, topology: Topology) -> set[RoomId]:
        """Return the rooms that the bot linked into its Spaces and has left since."""
        return {
            child.room_id
            for space in own_spaces(topology.rooms, self._bot)
            for child in space.children
            if child.sender == self._bot and child.via and child.room_id not in topology.rooms
        }

    def _is_incomplete(self, room: ObservedRoom) -> bool:
        stored = read_stored_binding(room.binding)
        if room.created_by == self._bot:
            owned = stored.room_type == "space" and stored.matrix_user_id is not None
            return room.is_space and room.members is None and not owned
        known = stored.room_type == "entry" and stored.matrix_user_id is not None
        return room.invited_by is None and not known

    async def _complete_room(self, reader: StateReader, room: ObservedRoom) -> ObservedRoom:
        if room.created_by == self._bot:
            return replace(room, members=await reader.members(room.room_id))
        membership = await reader.own_membership(room.room_id)
        return replace(room, invited_by=await self._inviter(reader, room.room_id, membership))

    # -- one room ----------------------------------------------------------------------------------

    async def observe(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        """Read one room, and the Spaces that may contain it (contracts C7, C12).

        `spaces` are those that the local rows name. For a room that somebody else created no Space is read: it is not a
        chat, whatever parents it names (contract C2).
        """
        reader = self._current.reader(MAX_REPAIR_REQUESTS)
        rooms: dict[RoomId, ObservedRoom] = {}
        read = await self.read(reader, room_id)
        if read is not None:
            room, state = read
            rooms[room_id] = room
            if room.created_by == self._bot and not room.is_space:
                named = _named_spaces(room, state, spaces)
                for space in await self._find_linking_spaces(reader, room, named):
                    rooms[space.room_id] = space
                    for parent in await self._spaces_containing(reader, space.room_id):
                        rooms.setdefault(parent.room_id, parent)
        return Topology(self._bot, rooms, whole=False)

    async def read(
        self, reader: StateReader, room_id: RoomId
    ) -> tuple[ObservedRoom, StateMap] | None:
        """Read one room and its state; `None` where the bot is not in it, or its binding can't be read."""
        basics = await _read_basics(reader, room_id)
        if basics is None:
            return None
        own, create, binding = basics
        is_own = create.get("sender") == self._bot
        state: StateMap = {}
        if is_own:
            state = await reader.whole(room_id) or {}
        else:
            # Its members may have written any amount of state into it, so the whole state is not read.
            for kind in ("m.room.name", "m.room.encryption"):
                event = await reader.event(room_id, kind)
                if event is not None:
                    state[kind, ""] = dict(event)
        state["m.room.create", ""] = dict(create)
        state["m.room.member", self._bot] = dict(own)
        members = members_of(state, self._bot) if is_own else await reader.members(room_id)
        room = observed_room(room_id, state, binding, self._bot, members)
        owner = _owner(room, members) if is_own else None
        if owner is not None:
            found = membership_in_event(state.get(("m.room.member", owner)))
            room = replace(room, owner_membership=found)
        if not is_own and room.invited_by is None:
            room = replace(room, invited_by=await self._inviter(reader, room_id, own))
        return room, state

    async def _find_linking_spaces(
        self, reader: StateReader, room: ObservedRoom, named: Sequence[RoomId]
    ) -> list[ObservedRoom]:
        """Return the Spaces that link a room: among the named ones, or else among all that the bot created."""
        searched = self._own_spaces | set(named)
        for space_ids in (named, sorted(searched - set(named))):
            found = await self._linking_among(reader, room.room_id, space_ids)
            if found:
                return found
        await self._read_new_spaces(reader)
        return await self._linking_among(reader, room.room_id, sorted(self._own_spaces - searched))

    async def _linking_among(
        self, reader: StateReader, room_id: RoomId, space_ids: Iterable[RoomId]
    ) -> list[ObservedRoom]:
        found: list[ObservedRoom] = []
        for space_id in space_ids:
            link = child_link(await reader.event(space_id, "m.space.child", room_id))
            space = None if link is None else await self._space(reader, space_id, link)
            if space is not None:
                found.append(space)
            if len(found) == _MAX_LINKING_SPACES or reader.left == 0:
                break
        return found

    async def _space(
        self, reader: StateReader, space_id: RoomId, link: ObservedChild
    ) -> ObservedRoom | None:
        """Read a Space, with only the given link as its children."""
        basics = await _read_basics(reader, space_id)
        if basics is None:
            return None
        _, create, binding = basics
        state = {("m.room.create", ""): dict(create)}
        space = observed_room(space_id, state, binding, self._bot)
        if not space.is_space:
            return None
        space = replace(space, children=(link,))
        self.record(Topology(self._bot, {space_id: space}))
        if self._is_incomplete(space):
            space = await self._complete_room(reader, space)
        return space

    async def _read_new_spaces(self, reader: StateReader) -> None:
        """Read joined rooms that this process does not know: another client of the account may have created Spaces."""
        for room_id in sorted(await reader.joined_rooms() or ()):
            if room_id in self._known:
                continue
            if reader.left == 0:
                return
            create = await reader.event(room_id, "m.room.create")
            self._known.add(room_id)
            state = {("m.room.create", ""): dict(create)} if create is not None else {}
            room = observed_room(room_id, state, None, self._bot)
            self.record(Topology(self._bot, {room_id: room}))

    async def _spaces_containing(self, reader: StateReader, space_id: RoomId) -> list[ObservedRoom]:
        """Return the bot's Spaces that contain a Space; nothing in such a Space counts (contract C2).

        Those that are known to contain it are read again, and as many others as the limit allows: a link may have been
        set since the Spaces were read.
        """
        known = sorted(self._containing.get(space_id, ()))
        others = sorted(self._own_spaces - {space_id, *known})
        parents: list[ObservedRoom] = []
        for parent_id in (*known, *others):
            link = child_link(await reader.event(parent_id, "m.space.child", space_id))
            if link is not None and link.via:
                parent = ObservedRoom(parent_id, self._bot, 0, is_space=True, children=(link,))
                parents.append(parent)
            if reader.left == 0:
                break
        return parents

    async def _inviter(
        self, reader: StateReader, room_id: RoomId, membership: object
    ) -> UserId | None:
        """Follow the bot's own membership back to the invitation, event by event, without reading history."""
        for _ in range(_MAX_EARLIER_MEMBERSHIPS):
            if not isinstance(membership, dict):
                return None
            content = own_membership(membership, self._bot)
            if content is None:
                return None
            if content.get("membership") == "invite":
                return as_user_id(membership.get("sender"))
            direct = inviter(membership, self._bot)
            if direct is not None:
                return direct
            if previous_membership(membership) in ("leave", "ban"):
                return None  # joined without an invitation
            earlier = as_dict(membership.get("unsigned")).get("replaces_state")
            if not is_id(earlier, "$"):
                return None
            membership = await reader.get("rooms", room_id, "event", earlier)
        return None


def own_spaces(rooms: Mapping[RoomId, ObservedRoom], bot: UserId) -> list[ObservedRoom]:
    """Return the Spaces that the bot created."""
    return [room for room in rooms.values() if room.is_space and room.created_by == bot]


async def _read_basics(
    reader: StateReader, room_id: RoomId
) -> tuple[StateEvent, StateEvent, Mapping[str, Any] | None] | None:
    """Read the bot's membership, `m.room.create` and the binding; `None` where the bot is not in the room.

    After the bot has left, the homeserver still returns the old state. `None` too where it can't return the binding.
    """
    own = await reader.own_membership(room_id)
    if own is None or own["content"].get("membership") != "join":
        return None
    create = await reader.event(room_id, "m.room.create")
    if create is None:
        return None
    try:
        return own, create, await reader.binding(room_id)
    except RequestRefused:
        return None


def _owner(room: ObservedRoom, members: Sequence[UserId] | None) -> UserId | None:
    """Return the owner of a room that the bot created: that of its binding, or else the only other member."""
    owner = read_stored_binding(room.binding).matrix_user_id
    if owner is None and members is not None and len(members) == 1:
        return members[0]
    return owner


def _named_spaces(
    room: ObservedRoom, state: StateMap, spaces: Sequence[RoomId]
) -> tuple[RoomId, ...]:
    """Return the Spaces that a room is bound to, that the local rows name, and that it names as parents."""
    bound = room.binding.get("space_id") if room.binding is not None else None
    named = [RoomId(bound)] if is_id(bound, "!") else []
    unique = dict.fromkeys((*named, *spaces, *parents_of(state)))
    return tuple(space_id for space_id in unique if space_id != room.room_id)[:_MAX_NAMED_SPACES]

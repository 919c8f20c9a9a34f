"""Reads the current state of rooms, single events at a time, with a bounded number of requests (contracts L3, C12).

A full-state sync shows the state after a room's last event, which is not the current state where two events followed
the same one (fact 19). `/rooms/{id}/state/{type}/{key}` gives the current state. It is asked with `format=event`,
because who sent an event decides what it counts for (contract C2); of a homeserver that knows only the contents the
whole state of the room is read instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from machines.ids import RoomId, UserId
from matrix.errors import RequestRefused
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.keys import BINDING_TYPE
from matrix.raw_events import StateMap, is_id, state_map
from matrix.sync.topology import members_of

StateEvent = Mapping[str, Any]
_AS_EVENT = {"format": "event"}


class CurrentState:
    """The current state of the bot's rooms; `reader` counts the requests of one look."""

    def __init__(self, transport: Transport, bot: UserId) -> None:
        self.transport = transport
        self.bot = bot
        self.gives_events: bool | None = None
        """Whether the homeserver knows `format=event`; `None` until it was asked."""

    def reader(self, limit: int | None = None) -> "StateReader":
        """Return a reader that makes at most `limit` requests; what is beyond reads as absent."""
        return StateReader(self, limit)


class StateReader:
    """The reads of one look. What is absent, refused or beyond the limit is `None`."""

    def __init__(self, current: CurrentState, limit: int | None) -> None:
        self._current = current
        self._left = limit

    @property
    def left(self) -> int | None:
        """How many more requests may be made; `None` where they are not limited."""
        return self._left

    async def own_membership(self, room_id: RoomId) -> StateEvent | None:
        """Return the bot's own `m.room.member` event; `None` too where it may not look."""
        return await self.event(room_id, "m.room.member", self._current.bot)

    async def event(self, room_id: RoomId, kind: str, key: str = "") -> StateEvent | None:
        """Return one state event of a room."""
        if await self._gives_events(room_id):
            answer = await self._state_event(room_id, kind, key)
            return answer if _is_event(answer, kind) else None
        state = await self.whole(room_id)
        return None if state is None else state.get((kind, key))

    async def whole(self, room_id: RoomId) -> StateMap | None:
        """Return a room's whole state, in one request; only for rooms in which the bot alone sets state."""
        events = await self.get("rooms", room_id, "state")
        return state_map(events) if isinstance(events, list) else None

    async def binding(self, room_id: RoomId) -> Mapping[str, Any] | None:
        """Return a room's binding (contract R4); the homeserver keeps it for rooms that were left, too.

        Raises:
            RequestRefused: the homeserver fails at it. A room without a binding is given new numbers, so this must
                not be taken for one.
        """
        segments = ("user", self._current.bot, "rooms", room_id, "account_data", BINDING_TYPE)
        try:
            binding = await self._ask(segments)
        except RequestRefused as refused:
            if refused.status not in (403, 404):
                raise
            binding = None
        return binding if isinstance(binding, dict) and binding else None

    async def members(self, room_id: RoomId) -> tuple[UserId, ...] | None:
        """Return the other members of a room, joined or invited."""
        query = {"not_membership": "leave"}
        answer = await self.get("rooms", room_id, "members", query=query)
        events = answer.get("chunk") if isinstance(answer, dict) else None
        if not isinstance(events, list):
            return None
        return members_of(state_map(events), self._current.bot)

    async def joined_rooms(self) -> frozenset[RoomId] | None:
        """Return the rooms that the bot is joined to."""
        answer = await self.get("joined_rooms")
        joined = answer.get("joined_rooms") if isinstance(answer, dict) else None
        if not isinstance(joined, list):
            return None
        return frozenset(RoomId(room_id) for room_id in joined if is_id(room_id, "!"))

    async def get(self, *segments: str, query: Mapping[str, str] | None = None) -> Any:
        """Return what a read request answers."""
        try:
            return await self._ask(segments, query)
        except RequestRefused:
            return None

    async def _ask(self, segments: Sequence[str], query: Mapping[str, str] | None = None) -> Any:
        if self._left is not None:
            if self._left <= 0:
                return None
            self._left -= 1
        call = Request("GET", client_path(*segments), query=query)
        return await self._current.transport.request(call)

    async def _gives_events(self, room_id: RoomId) -> bool:
        """Find out once whether the homeserver gives events or contents.

        The bot's own membership tells: its content has a `membership`, an event has it one level deeper. It is
        written by the bot, so that no user can make a content look like an event.
        """
        if self._current.gives_events is None:
            own = await self._state_event(room_id, "m.room.member", self._current.bot)
            if not isinstance(own, dict):
                return True  # it may not look into this room, and will not see another event of it
            self._current.gives_events = "membership" not in own
        return self._current.gives_events

    async def _state_event(self, room_id: RoomId, kind: str, key: str) -> Any:
        return await self.get("rooms", room_id, "state", kind, key, query=_AS_EVENT)


def _is_event(answer: object, kind: str) -> bool:
    return (
        isinstance(answer, dict)
        and answer.get("type") == kind
        and isinstance(answer.get("content"), dict)
    )

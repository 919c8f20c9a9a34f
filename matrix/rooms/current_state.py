"""Reads the current state of rooms, one event at a time, with a limited number of requests (contracts L3, C12).

A full-state sync returns the state after a room's last event, which is not the current state where two events have the
same predecessor (fact 19). `/rooms/{id}/state/{type}/{key}` returns the current state. It is requested with
`format=event`, because the sender of an event matters (contract C2). On a homeserver that returns only contents, the
whole state of the room is read instead.
"""

from collections.abc import Container, Mapping
from typing import Any

from machines.ids import RoomId, UserId
from matrix.http.transport import ANY_STATUS, Transport
from matrix.keys import BINDING_TYPE
from matrix.raw_events import StateMap, as_dict, joined_room_ids, state_map
from matrix.sync.topology import members_of

StateEvent = Mapping[str, Any]
_AS_EVENT = {"format": "event"}


class CurrentState:
    """The current state of the bot's rooms, read through a `StateReader`."""

    def __init__(self, transport: Transport, bot: UserId) -> None:
        self.transport = transport
        self.bot = bot
        self.returns_events: bool | None = None
        """Whether the homeserver supports `format=event`; `None` until the first request."""

    def reader(self, limit: int | None = None) -> "StateReader":
        """Return a reader that makes at most `limit` requests; beyond the limit everything is absent."""
        return StateReader(self, limit)


class StateReader:
    """Reads state with a limited number of requests. What is absent, refused or beyond the limit is `None`."""

    def __init__(self, current: CurrentState, limit: int | None) -> None:
        self._current = current
        self.left = limit
        """The number of requests left; `None` without a limit."""

    async def own_membership(self, room_id: RoomId) -> StateEvent | None:
        """Return the bot's own `m.room.member` event."""
        return await self.event(room_id, "m.room.member", self._current.bot)

    async def event(self, room_id: RoomId, kind: str, key: str = "") -> StateEvent | None:
        """Return one state event of a room."""
        if await self._returns_events(room_id):
            answer = await self._state_event(room_id, kind, key)
            return answer if _is_event(answer, kind) else None
        state = await self.whole(room_id)
        return None if state is None else state.get((kind, key))

    async def whole(self, room_id: RoomId) -> StateMap | None:
        """Return a room's whole state, in one request; only for rooms in which only the bot can set state."""
        events = await self.get("rooms", room_id, "state")
        return state_map(events) if isinstance(events, list) else None

    async def binding(self, room_id: RoomId) -> Mapping[str, Any] | None:
        """Return a room's binding (contract R4), also of a room that the bot has left.

        Raises:
            RequestRefused: the homeserver can't return it. This does not mean that there is no binding: a room without
                one would get new numbers.
        """
        path = ("user", self._current.bot, "rooms", room_id, "account_data", BINDING_TYPE)
        return as_dict(await self.get(*path, absent=(403, 404))) or None

    async def members(self, room_id: RoomId) -> tuple[UserId, ...] | None:
        """Return the other members of a room, joined or invited."""
        query = {"not_membership": "leave"}
        events = as_dict(await self.get("rooms", room_id, "members", query=query)).get("chunk")
        return (
            members_of(state_map(events), self._current.bot) if isinstance(events, list) else None
        )

    async def joined_rooms(self) -> frozenset[RoomId] | None:
        """Return the rooms that the bot is joined to."""
        return joined_room_ids(await self.get("joined_rooms"))

    async def get(
        self,
        *segments: str,
        query: Mapping[str, str] | None = None,
        absent: Container[int] = ANY_STATUS,
    ) -> Any:
        """Return the response to a read request, `None` where it is refused with a status in `absent`."""
        if self.left is not None:
            if self.left <= 0:
                return None
            self.left -= 1
        return await self._current.transport.get(*segments, query=query, absent=absent)

    async def _returns_events(self, room_id: RoomId) -> bool:
        """Detect once whether the homeserver returns events or only contents.

        It is detected from the bot's own membership: a content has `membership` at the top level, an event has it
        inside `content`. The bot writes this event, so no user can forge a content that resembles an event.
        """
        if self._current.returns_events is None:
            own = await self._state_event(room_id, "m.room.member", self._current.bot)
            if not isinstance(own, dict):
                return True  # the bot may not read this room, so no other event of it is returned either
            self._current.returns_events = "membership" not in own
        return self._current.returns_events

    async def _state_event(self, room_id: RoomId, kind: str, key: str) -> Any:
        return await self.get("rooms", room_id, "state", kind, key, query=_AS_EVENT)


def _is_event(answer: object, kind: str) -> bool:
    return (
        isinstance(answer, dict)
        and answer.get("type") == kind
        and isinstance(answer.get("content"), dict)
    )

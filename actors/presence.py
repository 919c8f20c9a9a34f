"""What only shows: typing notices and read markers. Best effort, never queued, nothing waits for it."""

from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from actors.ports import Clock, Homeserver
from machines.ids import EventId, RoomId

TYPING_AFTER_S = 0.3
"""A quick answer needs no typing notice."""
TYPING_AGAIN_S = 20.0
"""The homeserver forgets a typing notice after 30 s."""
MARK_INTERVAL_S = 1.0
"""A busy room's markers move once a second; what comes in between is folded into the next."""


@dataclass(frozen=True, slots=True)
class _Mark:
    read: EventId
    finished: EventId | None


class Presence:
    """Shows typing and reading in the task group it is run in."""

    def __init__(self, homeserver: Homeserver, clock: Clock) -> None:
        self._homeserver = homeserver
        self._clock = clock
        self._typing: dict[RoomId, anyio.CancelScope] = {}
        self._marks: dict[RoomId, _Mark | None] = {}
        self._group: TaskGroup | None = None

    def run(self, group: TaskGroup) -> None:
        """Use this task group from here on."""
        self._group = group

    def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Begin or end to show that the agent works in this room."""
        scope = self._typing.pop(room_id, None)
        if scope is not None:
            scope.cancel()
        if typing and self._group is not None:
            scope = self._typing[room_id] = anyio.CancelScope()
            self._group.start_soon(self._keep_typing, room_id, scope)

    def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None = None) -> None:
        """Move the room's markers; only the newest of several waiting is sent."""
        busy = room_id in self._marks
        waiting = self._marks.get(room_id)
        if waiting is not None and finished is None:
            finished = waiting.finished
        self._marks[room_id] = _Mark(read, finished)
        if not busy and self._group is not None:
            self._group.start_soon(self._keep_marking, room_id)

    def reply_delivered(self, room_id: RoomId, answered: EventId) -> None:
        """A whole reply is out and nothing waits behind it: the bot's place moves (contract D12)."""
        self.mark_read(room_id, answered, finished=answered)

    async def _keep_typing(self, room_id: RoomId, scope: anyio.CancelScope) -> None:
        shown = False
        with scope:
            await self._clock.sleep(TYPING_AFTER_S)
            while True:
                shown = True
                await self._homeserver.show_typing(room_id, typing=True)
                await self._clock.sleep(TYPING_AGAIN_S)
        if shown:
            await self._homeserver.show_typing(room_id, typing=False)

    async def _keep_marking(self, room_id: RoomId) -> None:
        while True:
            mark = self._marks[room_id]
            if mark is None:
                del self._marks[room_id]
                return
            self._marks[room_id] = None
            await self._homeserver.mark_read(room_id, mark.read, mark.finished)
            await self._clock.sleep(MARK_INTERVAL_S)

"""What only shows: typing notices and read markers. Best effort, never queued, nothing waits for it.

Most of it is never sent: a quick answer needs no typing notice, and one request moves the markers past all that
came lately. So what may become due stands in a heap (`Timers`), and only what is sent gets a task.
"""

from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from actors.ports import Clock, Homeserver
from actors.timers import Timers
from actors.workers import Workers
from machines.ids import ActorKey, EventId, RoomId

TYPING_AFTER_S = 0.3
"""A quick answer needs no typing notice."""
TYPING_AGAIN_S = 20.0
"""The homeserver forgets a typing notice after 30 s."""
MARK_AFTER_S = 0.05
"""A message that is answered at once needs one request for both markers."""
MARK_INTERVAL_S = 1.0
"""A busy room's markers move once a second; what comes in between is folded into the next."""


@dataclass(frozen=True, slots=True)
class _Mark:
    read: EventId
    finished: EventId | None


class Presence:
    """Shows typing and reading."""

    def __init__(self, homeserver: Homeserver, clock: Clock, workers: Workers) -> None:
        self._homeserver = homeserver
        self._clock = clock
        self._workers = workers
        self._typing_at: dict[RoomId, float] = {}
        self._typing_shown: dict[RoomId, anyio.CancelScope] = {}
        self._typing_timers = Timers(clock, lambda key: self._typing_due(RoomId(key)))
        self._marks: dict[RoomId, _Mark] = {}
        self._marked: set[RoomId] = set()
        self._marking: set[RoomId] = set()
        self._mark_timers = Timers(clock, lambda key: self._mark_due(RoomId(key)))

    def run(self, group: TaskGroup) -> None:
        """Wait in this task group for what comes due."""
        group.start_soon(self._typing_timers.run)
        group.start_soon(self._mark_timers.run)

    def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Begin or end to show that the agent works in this room."""
        self._typing_at.pop(room_id, None)
        scope = self._typing_shown.pop(room_id, None)
        if scope is not None:
            scope.cancel()
        if typing:
            at = self._typing_at[room_id] = self._clock.now() + TYPING_AFTER_S
            self._typing_timers.set(ActorKey(room_id), at)

    def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None = None) -> None:
        """Move the room's markers; only the newest of several waiting is sent."""
        waiting = self._marks.get(room_id)
        if waiting is not None and finished is None:
            finished = waiting.finished
        self._marks[room_id] = _Mark(read, finished)
        if room_id not in self._marked:
            self._mark_timers.set(ActorKey(room_id), self._clock.now() + MARK_AFTER_S)

    def reply_delivered(self, room_id: RoomId, answered: EventId) -> None:
        """A whole reply is out and nothing waits behind it: the bot's place moves (contract D12)."""
        self.mark_read(room_id, answered, finished=answered)

    def _typing_due(self, room_id: RoomId) -> None:
        at = self._typing_at.get(room_id)
        if at is None:
            return
        if self._clock.now() < at:  # the timer was another answer's, which has ended
            self._typing_timers.set(ActorKey(room_id), at)
            return
        del self._typing_at[room_id]
        scope = self._typing_shown[room_id] = anyio.CancelScope()
        self._workers.start(self._keep_typing, room_id, scope)

    async def _keep_typing(self, room_id: RoomId, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                await self._homeserver.show_typing(room_id, typing=True)
                await self._clock.sleep(TYPING_AGAIN_S)
        await self._homeserver.show_typing(room_id, typing=False)

    def _mark_due(self, room_id: RoomId) -> None:
        """Send the room's newest mark, or forget the room when there is none."""
        mark = None if room_id in self._marking else self._marks.pop(room_id, None)
        if mark is not None:
            self._marking.add(room_id)
            self._workers.start(self._mark, room_id, mark)
        elif room_id not in self._marking:
            self._marked.discard(room_id)
            return
        self._marked.add(room_id)
        self._mark_timers.set(ActorKey(room_id), self._clock.now() + MARK_INTERVAL_S)

    async def _mark(self, room_id: RoomId, mark: _Mark) -> None:
        await self._homeserver.mark_read(room_id, mark.read, mark.finished)
        self._marking.discard(room_id)

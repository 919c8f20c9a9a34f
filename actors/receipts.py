"""Typing notices, read receipts and `m.fully_read`: best effort, never queued, nothing waits for them.

Most are never sent: a quick answer needs no typing notice, and one request moves the markers past several messages.
So a pending one is an entry in a heap (`Timers`), and a task is started only for a request.
"""

from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from actors.ports import Clock, Homeserver
from actors.task_pool import TaskPool
from actors.timers import Timers
from machines.ids import ActorKey, EventId, RoomId

TYPING_DELAY_S = 0.3
"""Delay before the first typing notice: a quick answer needs none."""
TYPING_INTERVAL_S = 20.0
"""Interval of renewal: the homeserver ends a typing notice after 30 s."""
MARK_DELAY_S = 0.05
"""Delay before the first markers of a room: a message that is answered at once needs one request for both."""
MARK_INTERVAL_S = 1.0
"""Shortest interval between two marker requests of a room; later positions replace earlier ones."""


@dataclass(frozen=True, slots=True)
class _Mark:
    read: EventId
    finished: EventId | None


class Receipts:
    """Sends typing notices and read markers."""

    def __init__(self, homeserver: Homeserver, clock: Clock, task_pool: TaskPool) -> None:
        self._homeserver = homeserver
        self._clock = clock
        self._task_pool = task_pool
        self._typing_at: dict[RoomId, float] = {}
        self._typing_shown: dict[RoomId, anyio.CancelScope] = {}
        self._typing_timers = Timers(clock, lambda key: self._typing_due(RoomId(key)))
        self._marks: dict[RoomId, _Mark] = {}
        self._marked: set[RoomId] = set()
        self._marking: set[RoomId] = set()
        self._mark_timers = Timers(clock, lambda key: self._mark_due(RoomId(key)))

    def run(self, group: TaskGroup) -> None:
        """Run the timers in this task group."""
        group.start_soon(self._typing_timers.run)
        group.start_soon(self._mark_timers.run)

    def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Start or stop the typing notice of a room; one that is shown stays without interruption."""
        if typing and (room_id in self._typing_at or room_id in self._typing_shown):
            return
        self._typing_at.pop(room_id, None)
        scope = self._typing_shown.pop(room_id, None)
        if scope is not None:
            scope.cancel()
        if typing:
            at = self._typing_at[room_id] = self._clock.now() + TYPING_DELAY_S
            self._typing_timers.set(ActorKey(room_id), at)

    def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None = None) -> None:
        """Move the room's read receipt and, to `finished`, its `m.fully_read` (contract D12).

        Of several pending positions only the newest is sent.
        """
        waiting = self._marks.get(room_id)
        if waiting is not None and finished is None:
            finished = waiting.finished
        self._marks[room_id] = _Mark(read, finished)
        if room_id not in self._marked:
            self._mark_timers.set(ActorKey(room_id), self._clock.now() + MARK_DELAY_S)

    def _typing_due(self, room_id: RoomId) -> None:
        at = self._typing_at.get(room_id)
        if at is None:
            return
        if self._clock.now() < at:  # the timer belonged to an earlier answer
            self._typing_timers.set(ActorKey(room_id), at)
            return
        del self._typing_at[room_id]
        scope = self._typing_shown[room_id] = anyio.CancelScope()
        self._task_pool.start(self._renew_typing, room_id, scope)

    async def _renew_typing(self, room_id: RoomId, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                await self._homeserver.show_typing(room_id, typing=True)
                await self._clock.sleep(TYPING_INTERVAL_S)
        await self._homeserver.show_typing(room_id, typing=False)

    def _mark_due(self, room_id: RoomId) -> None:
        """Send the room's newest markers, or remove the room's entry if there are none."""
        mark = None if room_id in self._marking else self._marks.pop(room_id, None)
        if mark is not None:
            self._marking.add(room_id)
            self._task_pool.start(self._mark, room_id, mark)
        elif room_id not in self._marking:
            self._marked.discard(room_id)
            return
        self._marked.add(room_id)
        self._mark_timers.set(ActorKey(room_id), self._clock.now() + MARK_INTERVAL_S)

    async def _mark(self, room_id: RoomId, mark: _Mark) -> None:
        await self._homeserver.mark_read(room_id, mark.read, mark.finished)
        self._marking.discard(room_id)

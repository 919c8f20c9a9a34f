"""Timers: one heap of due times, and one task that waits for the earliest.

A timer only signals an actor; the actor's machine decides what is due, from its state. So an outdated timer does
nothing, and no timer has to be cancelled or stored: after a restart each is set again from its row.
"""

import heapq
from collections.abc import Callable

import anyio

from actors.ports import Clock
from machines.ids import ActorKey

MAX_OUTDATED = 1000
"""Maximum number of outdated heap entries, in addition to the number of timers that are set."""


class Timers:
    """Calls `due(key)` at the time set for a key; an earlier time replaces a later one."""

    def __init__(self, clock: Clock, due: Callable[[ActorKey], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[float, ActorKey]] = []
        self._due_at: dict[ActorKey, float] = {}
        self._wait = anyio.CancelScope()

    def set(self, key: ActorKey, at: float) -> None:
        """Signal the actor at `at`, seconds since the epoch."""
        if self._due_at.get(key, float("inf")) <= at:
            return
        self._due_at[key] = at
        if len(self._heap) > 2 * len(self._due_at) + MAX_OUTDATED:
            # Most entries are outdated: every turn sets its time limit, and nearly all end long before it.
            self._heap = [(each_at, each) for each, each_at in self._due_at.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (at, key))
        if self._heap[0][1] == key:
            self._wait.cancel()

    def clear(self, key: ActorKey) -> None:
        """Remove the timer of a key."""
        self._due_at.pop(key, None)

    async def run(self) -> None:
        """Run until cancelled. Each wait ends at the earliest due time, or when an earlier timer is set."""
        while True:
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                at, key = heapq.heappop(self._heap)
                if self._due_at.get(key) == at:
                    del self._due_at[key]
                    self._due(key)
            self._wait = anyio.CancelScope()
            with self._wait:
                if self._heap:
                    await self._clock.sleep(self._heap[0][0] - now)
                else:
                    await anyio.sleep_forever()

"""Virtual time, which passes only while all tasks wait, so that a test of an hour takes no time."""

import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tests.idle_loop import settle


class VirtualClock:
    """A clock that wakes its sleepers in order while `running`."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        entry = (self._now + seconds, next(self._order), woken)
        heapq.heappush(self._sleepers, entry)
        try:
            await woken.wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time pass, as fast as the tasks allow, inside the block."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run)
            yield
            tasks.cancel_scope.cancel()

    async def _run(self) -> None:
        while True:
            await settle()
            if self._sleepers:
                wake_at, _, woken = heapq.heappop(self._sleepers)
                self._now = max(self._now, wake_at)
                woken.set()

"""A pool of tasks that are reused for further jobs, because one message needs several short jobs.

Starting a task costs three times as much as waking an idle one. Idle workers exit after 1–2 s, so an idle bot has no
tasks and no timer here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from actors.ports import Clock

REMOVAL_INTERVAL_S = 1.0
"""Interval at which unused workers are removed: a worker exits after one to two intervals without a job."""


@dataclass(slots=True)
class _Idle:
    """A worker that waits; it exits when `woken` is set without a `job`."""

    job: Callable[[], Awaitable[None]] | None = None
    woken: anyio.Event = field(default_factory=anyio.Event)


class TaskPool:
    """Runs jobs concurrently in a task group. An exception of a job ends the group."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._group: TaskGroup | None = None
        self._idle: list[_Idle] = []
        self._unused = 0
        self._removing = False

    def run(self, group: TaskGroup) -> None:
        """Start jobs in this task group from now on."""
        self._group = group

    def start(self, job: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Schedule `job(*arguments)`.

        Raises:
            RuntimeError: there is no task group yet.
        """
        if self._group is None:
            raise RuntimeError("the task pool is not running")
        if self._idle:
            # The most recent one, so that unused workers stay at the front of the list.
            idle = self._idle.pop()
            self._unused = min(self._unused, len(self._idle))
            idle.job = lambda: job(*arguments)
            idle.woken.set()
        else:
            self._group.start_soon(self._work, self._group, lambda: job(*arguments))

    async def _work(self, group: TaskGroup, job: Callable[[], Awaitable[None]] | None) -> None:
        while job is not None:
            await job()
            idle = _Idle()
            self._idle.append(idle)
            if not self._removing:
                self._removing = True
                group.start_soon(self._remove_unused)
            # No deadline: it waits for a job, or for its removal.
            await idle.woken.wait()
            job = idle.job

    async def _remove_unused(self) -> None:
        """Remove the workers that had no job since the last interval, until none is idle."""
        while self._idle:
            self._unused = len(self._idle)
            await self._clock.sleep(REMOVAL_INTERVAL_S)
            for idle in self._idle[: self._unused]:
                idle.woken.set()
            del self._idle[: self._unused]
        self._removing = False

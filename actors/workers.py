"""Workers: tasks that are kept for the next job, because a message needs several and a new task is dear.

To start a task costs three times what it costs to wake one that waits. While there is much to do, as many wait as
are needed time and again; whom nobody has needed for a while is let go, so a quiet bot has none and no timer either.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from actors.ports import Clock

LOOK_EVERY_S = 1.0
"""How long a worker waits unneeded until it is let go, at least; at most it is twice as long."""


@dataclass(slots=True)
class _Idle:
    """A worker that waits; when `woken` is set without a `job`, it is let go."""

    job: Callable[[], Awaitable[None]] | None = None
    woken: anyio.Event = field(default_factory=anyio.Event)


class Workers:
    """Does jobs in the task group it is run in, all at once. What a job raises ends the group."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._group: TaskGroup | None = None
        self._idle: list[_Idle] = []
        self._unneeded = 0
        self._looking = False

    def run(self, group: TaskGroup) -> None:
        """Use this task group from here on."""
        self._group = group

    def start(self, job: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Begin `job(*arguments)`; it runs when this task waits next.

        Raises:
            RuntimeError: there is no task group yet.
        """
        if self._group is None:
            raise RuntimeError("the workers are not running")
        if self._idle:
            # The newest: those that nobody needs gather at the other end.
            idle = self._idle.pop()
            self._unneeded = min(self._unneeded, len(self._idle))
            idle.job = lambda: job(*arguments)
            idle.woken.set()
        else:
            self._group.start_soon(self._work, self._group, lambda: job(*arguments))

    async def _work(self, group: TaskGroup, job: Callable[[], Awaitable[None]] | None) -> None:
        while job is not None:
            await job()
            idle = _Idle()
            self._idle.append(idle)
            if not self._looking:
                self._looking = True
                group.start_soon(self._let_go)
            # No deadline: it waits for work, or to be let go.
            await idle.woken.wait()
            job = idle.job

    async def _let_go(self) -> None:
        """Let go whom nobody has needed since the last look, until nobody is idle."""
        while self._idle:
            self._unneeded = len(self._idle)
            await self._clock.sleep(LOOK_EVERY_S)
            for idle in self._idle[: self._unneeded]:
                idle.woken.set()
            del self._idle[: self._unneeded]
        self._looking = False

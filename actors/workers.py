"""Workers: tasks that are kept for the next job, because a message needs several and a new task is dear.

To start a task costs three times what it costs to wake one that waits. Only a bounded number waits; in a
quiet bot there are as many as were last busy at once, at most that.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

IDLE_WORKERS = 10


@dataclass(slots=True)
class _Idle:
    """A worker that waits; `job` is there when `woken` is set."""

    job: Callable[[], Awaitable[None]] | None = None
    woken: anyio.Event = field(default_factory=anyio.Event)


class Workers:
    """Does jobs in the task group it is run in, all at once. What a job raises ends the group."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._idle: list[_Idle] = []

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
            idle = self._idle.pop()
            idle.job = lambda: job(*arguments)
            idle.woken.set()
        else:
            self._group.start_soon(self._work, lambda: job(*arguments))

    async def _work(self, job: Callable[[], Awaitable[None]] | None) -> None:
        while job is not None:
            await job()
            if len(self._idle) >= IDLE_WORKERS:
                return
            idle = _Idle()
            self._idle.append(idle)
            # No deadline: it waits for work, and ends with its group.
            await idle.woken.wait()
            job = idle.job

"""Workers do every job, keep their tasks for the next one, and keep no more than a few."""

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from actors.workers import IDLE_WORKERS, Workers


async def _settle(turns: int = 5) -> None:
    for _ in range(turns):
        await checkpoint()


class CountingGroup:
    """Starts tasks in a task group and counts them."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self.started = 0

    def start_soon(self, *arguments: object) -> None:
        self.started += 1
        self._group.start_soon(*arguments)  # type: ignore[arg-type]


async def test_jobs_one_after_the_other_share_a_task() -> None:
    done: list[int] = []

    async def job(number: int) -> None:
        await checkpoint()
        done.append(number)

    async with anyio.create_task_group() as group:
        counting = CountingGroup(group)
        workers = Workers()
        workers.run(counting)  # type: ignore[arg-type]
        for number in range(10):
            workers.start(job, number)
            await _settle()
        assert done == list(range(10))
        assert counting.started == 1
        group.cancel_scope.cancel()


async def test_jobs_run_at_once_and_only_some_workers_wait_for_more() -> None:
    gate = anyio.Event()
    running = 0

    async def job() -> None:
        nonlocal running
        running += 1
        await gate.wait()
        running -= 1

    async with anyio.create_task_group() as group:
        counting = CountingGroup(group)
        workers = Workers()
        workers.run(counting)  # type: ignore[arg-type]
        for _ in range(IDLE_WORKERS + 50):
            workers.start(job)
        await _settle()
        assert running == IDLE_WORKERS + 50
        gate.set()
        await _settle()
        assert running == 0
        for _ in range(IDLE_WORKERS + 1):
            workers.start(job)
        assert counting.started == IDLE_WORKERS + 50 + 1
        group.cancel_scope.cancel()


async def test_what_a_job_raises_ends_the_group() -> None:
    async def broken() -> None:
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        async with anyio.create_task_group() as group:
            workers = Workers()
            workers.run(group)
            workers.start(broken)


async def test_workers_without_a_group_refuse_jobs() -> None:
    async def job() -> None:
        """Never run."""

    with pytest.raises(RuntimeError, match="not running"):
        Workers().start(job)

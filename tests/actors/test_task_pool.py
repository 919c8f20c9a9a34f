"""Workers run every job, stay for the next one, and exit if they are not needed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from actors.task_pool import REMOVAL_INTERVAL_S, TaskPool
from tests.actors.fakes import ManualClock
from tests.idle_loop import settle

REMOVAL_TASK = 1
"""The task that removes unused workers counts as a started one."""


class CountingGroup:
    """Starts tasks in a task group and counts them: all that were `started`, and those `alive`."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self.started = 0
        self.alive = 0

    def start_soon(self, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
        async def counted() -> None:
            await work(*arguments)
            self.alive -= 1

        self.started += 1
        self.alive += 1
        self._group.start_soon(counted)


@asynccontextmanager
async def working() -> AsyncIterator[tuple[TaskPool, CountingGroup, ManualClock]]:
    clock = ManualClock()
    task_pool = TaskPool(clock)
    async with anyio.create_task_group() as group:
        counting = CountingGroup(group)
        task_pool.run(counting)  # type: ignore[arg-type]
        yield task_pool, counting, clock
        group.cancel_scope.cancel()


async def some_jobs(task_pool: TaskPool, count: int) -> None:
    """Run this number of jobs concurrently, to their end."""
    gate = anyio.Event()
    running = 0

    async def job() -> None:
        nonlocal running
        running += 1
        await gate.wait()
        running -= 1

    for _ in range(count):
        task_pool.start(job)
    await settle()
    assert running == count
    gate.set()
    await settle()
    assert running == 0


async def test_jobs_one_after_the_other_share_a_task() -> None:
    done: list[int] = []

    async def job(number: int) -> None:
        await checkpoint()
        done.append(number)

    async with working() as (task_pool, counting, _):
        for number in range(10):
            task_pool.start(job, number)
            await settle()
        assert done == list(range(10))
        assert counting.started == 1 + REMOVAL_TASK


async def test_jobs_run_concurrently_and_their_workers_stay() -> None:
    async with working() as (task_pool, counting, _):
        await some_jobs(task_pool, 50)
        await some_jobs(task_pool, 50)
        assert counting.started == 50 + REMOVAL_TASK


async def test_idle_workers_exit_and_the_others_stay() -> None:
    async with working() as (task_pool, counting, clock):
        await some_jobs(task_pool, 50)
        for _ in range(10):
            await some_jobs(task_pool, 20)
            await clock.advance(REMOVAL_INTERVAL_S)
        assert counting.started == 50 + REMOVAL_TASK
        assert counting.alive == 20 + REMOVAL_TASK


async def test_a_quiet_bot_has_no_workers_and_no_timer() -> None:
    async with working() as (task_pool, counting, clock):
        await some_jobs(task_pool, 50)
        await clock.advance(2 * REMOVAL_INTERVAL_S)
        assert counting.alive == 0
        assert not clock.has_sleepers


async def test_an_exception_of_a_job_ends_the_group() -> None:
    async def broken() -> None:
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        async with anyio.create_task_group() as group:
            task_pool = TaskPool(ManualClock())
            task_pool.run(group)
            task_pool.start(broken)


async def test_workers_without_a_group_refuse_jobs() -> None:
    async def job() -> None:
        """Must not run."""

    with pytest.raises(RuntimeError, match="not running"):
        TaskPool(ManualClock()).start(job)

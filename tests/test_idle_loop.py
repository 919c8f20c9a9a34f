"""`settle` returns when every task waits, and reports the tasks that never do."""

import anyio
import anyio.lowlevel
import pytest

from tests import idle_loop
from tests.idle_loop import settle


async def test_settle_waits_for_the_last_of_a_thousand_tasks_that_wake_each_other():
    events = [anyio.Event() for _ in range(1000)]

    async def pass_on(number):
        await events[number].wait()
        await anyio.lowlevel.checkpoint()
        events[number + 1].set()

    async with anyio.create_task_group() as group:
        for number in range(999):
            group.start_soon(pass_on, number)
        await settle()
        events[0].set()
        await settle()
        assert events[999].is_set()


async def test_settle_does_not_wait_for_a_timer():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 3600)
        await settle()
        group.cancel_scope.cancel()


async def test_settle_fails_and_names_a_task_that_never_waits(monkeypatch):
    monkeypatch.setattr(idle_loop, "MAX_ITERATIONS", 100)

    async def run_in_circles():
        while True:
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(run_in_circles)
        with pytest.raises(AssertionError, match=r"(?s)busy after 100 iterations.*run_in_circles"):
            await settle()
        group.cancel_scope.cancel()

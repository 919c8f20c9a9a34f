"""Slots: so many at once, the others in turn, and none is lost with a task that is cancelled."""

import anyio
from anyio.lowlevel import checkpoint

from actors.slots import Slots
from tests.idle_loop import settle


async def test_so_many_go_on_at_once_and_the_others_in_turn() -> None:
    slots, inside, most = Slots(3), 0, 0
    order: list[int] = []

    async def pass_through(number: int) -> None:
        nonlocal inside, most
        async with slots:
            inside += 1
            most = max(most, inside)
            order.append(number)
            await checkpoint()
            inside -= 1

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(pass_through, number)
    assert most == 3
    assert order == list(range(10))


async def test_whoever_finds_one_free_goes_on_at_once() -> None:
    slots, passed = Slots(1), False

    async def pass_through() -> None:
        nonlocal passed
        async with slots:
            passed = True

    work = pass_through()
    try:
        work.send(None)
    except StopIteration:
        assert passed
    else:
        raise AssertionError("it waited for something")


async def test_a_cancelled_task_keeps_no_slot() -> None:
    slots = Slots(1)
    reached: list[str] = []

    async def hold(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with slots:
                reached.append(name)
                await anyio.sleep_forever()

    holder, waiter = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, "holder", holder)
        group.start_soon(hold, "waiter", waiter)
        await settle()
        waiter.cancel()
        await settle()
        holder.cancel()
        await settle()
        async with slots:
            assert reached == ["holder"]

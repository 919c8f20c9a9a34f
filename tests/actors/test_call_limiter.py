"""Slots for calls: a caller with many slots leaves some for others, and no slot is lost."""

from itertools import product

import anyio
import pytest

from actors.agent_calls import Limits
from actors.call_limiter import Caller, CallLimiter
from machines.ids import AgentId, UserId
from tests.idle_loop import settle

SLOTS = Limits().calls


def caller(agent: str, user: str) -> Caller:
    return Caller(AgentId(agent), UserId(user))


def fill(slots: CallLimiter, each: Caller) -> int:
    """Acquire as many slots as this caller may have."""
    acquired = 0
    while slots.try_acquire(each):
        acquired += 1
    return acquired


def test_one_user_with_one_agent_gets_most_of_the_slots_and_not_all():
    assert fill(CallLimiter(SLOTS), caller("a", "@anna")) == SLOTS * 2 // 5


@pytest.mark.parametrize("greedy", [1, 3, 6])
def test_a_further_agent_gets_a_slot_beside_any_number_of_greedy_ones(greedy):
    slots = CallLimiter(SLOTS)
    for agent, user in product(range(greedy), range(SLOTS // 10)):
        fill(slots, caller(f"mute{agent}", f"@user{agent}-{user}"))
    assert slots.try_acquire(caller("other", "@anna"))


@pytest.mark.parametrize("greedy", [1, 3, 6])
def test_a_further_user_of_the_same_agent_gets_a_slot_beside_greedy_ones(greedy):
    slots = CallLimiter(SLOTS)
    for user in range(greedy):
        fill(slots, caller("a", f"@greedy{user}"))
    assert slots.try_acquire(caller("a", "@anna"))


def test_a_released_slot_can_be_acquired_again():
    slots = CallLimiter(SLOTS)
    anna = caller("a", "@anna")
    acquired = fill(slots, anna)
    for _ in range(acquired):
        slots.release(anna)
    assert fill(slots, anna) == acquired


async def test_waiting_calls_get_the_next_slots_agents_and_users_in_turn():
    slots, got = CallLimiter(2), []
    mutes = [caller("mute", "@mute"), caller("other mute", "@other")]
    assert [fill(slots, mute) for mute in mutes] == [1, 1]

    async def wait(each: Caller, name: str) -> None:
        await slots.acquire(each)
        got.append(name)

    async with anyio.create_task_group() as group:
        for name in ("first", "second"):
            for agent, user in (("a", "@anna"), ("a", "@bert"), ("b", "@carl")):
                group.start_soon(wait, caller(agent, user), f"{user} {name}")
        await settle()
        assert got == []
        for mute in mutes:
            slots.release(mute)
            await settle()
        for leaves in (("a", "@anna"), ("b", "@carl"), ("a", "@bert"), ("a", "@anna")):
            slots.release(caller(*leaves))
            await settle()
    assert got == [
        "@anna first", "@carl first", "@bert first", "@carl second", "@anna second", "@bert second",
    ]  # fmt: skip


async def test_a_call_that_waits_behind_a_greedy_user_is_admitted_first():
    slots = CallLimiter(SLOTS)
    greedy, anna, got = caller("mute", "@greedy"), caller("mute", "@anna"), []
    fill(slots, greedy)
    held = fill(slots, anna)

    async def wait(each: Caller) -> None:
        await slots.acquire(each)
        got.append(each)

    async with anyio.create_task_group() as group:
        for each in (greedy, greedy, anna):
            group.start_soon(wait, each)
            await settle()
        slots.release(anna)
        await settle()
        assert held > 0
        assert got == [anna]
        group.cancel_scope.cancel()


async def test_a_call_that_is_cancelled_as_it_is_admitted_releases_the_slot():
    slots = CallLimiter(1)
    anna, bert = caller("a", "@anna"), caller("a", "@bert")
    assert slots.try_acquire(anna)
    scope, entered = anyio.CancelScope(), []

    async def wait() -> None:
        with scope:
            await slots.acquire(bert)
            entered.append(bert)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settle()
        scope.cancel()
        slots.release(anna)
        await settle()
    assert entered == []
    assert slots.try_acquire(anna)


async def test_a_cancelled_call_leaves_no_slot_and_no_queue_entry():
    slots = CallLimiter(1)
    anna, bert = caller("a", "@anna"), caller("a", "@bert")
    assert slots.try_acquire(anna)
    scopes = [anyio.CancelScope(), anyio.CancelScope()]

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            await slots.acquire(bert)
            slots.release(bert)

    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(wait, scope)
        await settle()
        scopes[0].cancel()
        await settle()
        slots.release(anna)
        # It has the slot, but its task has not resumed yet.
        scopes[1].cancel()
        await settle()
    assert slots.try_acquire(anna)

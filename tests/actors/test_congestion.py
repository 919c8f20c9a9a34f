"""Pending orders of a room are bounded: it handles no more messages until some orders were sent (D14)."""

import pytest

from actors.cell import MAX_WAITING, ActorCell
from actors.outbox import LANE_FULL
from machines.ids import ActorKey, RoomId
from store.records import InboxRow, RoomRows
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.support import CATALOG, chat_room

ROUND = 16 * 2
"""The number of messages that a room may handle before its lane is checked again."""


def waiting(runtime: RuntimeFixture) -> int:
    (row,) = runtime.database.rows("SELECT count(*) FROM outbox WHERE status = 'waiting'")
    return int(row[0])


async def pour(runtime: RuntimeFixture, room: RoomId, bodies: list[str]) -> None:
    for first in range(0, len(bodies), 100):
        runtime.homeserver.next_sync(
            *(runtime.message(room, body) for body in bodies[first : first + 100])
        )
        for _ in range(4):
            await settle()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "bound"),
    [("{n}", LANE_FULL + MAX_WAITING + ROUND), ("!help {n}", 2 * LANE_FULL + ROUND)],
    ids=["messages", "commands"],
)
async def test_answers_that_can_not_be_sent_yet_are_bounded_and_none_is_lost(runtime, body, bound):
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 1.0
    count = 700
    async with runtime.running(killed=True) as bot:
        await pour(runtime, room, [body.format(n=n) for n in range(count)])
        assert LANE_FULL <= waiting(runtime) <= bound
        assert bot._dispatcher._backlog == 0
    assert runtime.database.rows("SELECT count(*) FROM inbox WHERE status = 'set_aside'") == [(0,)]
    runtime.homeserver.delay_s = 0.0
    async with runtime.running():
        for _ in range(150):
            await settle()
    answered = [answers for answers, _ in runtime.homeserver.replies]
    assert list(dict.fromkeys(answered)) == [f"${n}" for n in range(1, count + 1)]


@pytest.mark.slow
async def test_a_room_with_pending_answers_delays_no_other(runtime: RuntimeFixture):
    stuck, other = runtime.with_chats(2)
    usual = runtime.homeserver.perform

    async def perform(order, txn_id):
        if getattr(order, "room_id", "") == stuck:
            await runtime.clock.sleep(3600)
        return await usual(order, txn_id)

    runtime.homeserver.perform = perform  # type: ignore[method-assign]
    async with runtime.running(killed=True):
        await pour(runtime, stuck, [f"{n}" for n in range(1_000)])
        runtime.homeserver.next_sync(runtime.message(other, "hello"))
        await settle()
        assert [body for _, body in runtime.homeserver.replies] == ["re: hello"]


@pytest.mark.slow
async def test_stop_is_handled_while_answers_wait_to_be_sent(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 3600
    runtime.agents.silent.add("slow")
    async with runtime.running(killed=True):
        await pour(runtime, room, [f"{n}" for n in range(LANE_FULL - 1)])
        await pour(runtime, room, ["slow", *(f"{n}" for n in range(2 * MAX_WAITING))])
        await pour(runtime, room, ["!stop"])
        assert "slow" in runtime.agents.closed
    bodies = runtime.database.rows("SELECT payload FROM outbox WHERE kind = 'send_message'")
    assert any(CATALOG.stop_done(others_wait=True) in payload for (payload,) in bodies)


async def test_a_room_whose_messages_wait_for_its_lane_has_not_caught_up(runtime: RuntimeFixture):
    """Otherwise its read position would move past messages that a command overtook (contract D12)."""
    (room,) = runtime.with_chats()
    key = ActorKey(room)
    async with runtime.running(killed=True) as bot:
        cell = bot._dispatcher._cells[key] = ActorCell(key, RoomRows(chat_room(), None, ()))
        assert bot._dispatcher.is_caught_up(key)
        cell.pending_orders = LANE_FULL
        cell.deliver([InboxRow(1, key, runtime.message(room, "hello"))])
        assert not bot._dispatcher.is_caught_up(key)

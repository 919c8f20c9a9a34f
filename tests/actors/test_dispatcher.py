"""The dispatcher: order within a room, concurrent rooms, isolated faults, and passivation."""

import anyio
import pytest
from structlog.testing import capture_logs

from actors import dispatcher
from actors.cell import MAX_WAITING
from actors.inbox_queues import MAX_LOADED
from machines.events.agent import AgentEnd, AgentTextChunk
from machines.events.orders import LinkChild, SendMessage
from machines.i18n import catalog_for
from machines.ids import ActorKey, RoomId
from machines.room import actor as room_actor
from store.inbox import READ_AHEAD
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle

CATALOG = catalog_for("en", "Lambda")


def bodies(runtime: RuntimeFixture, room: RoomId | None = None) -> list[str]:
    """The bodies of all replies, in one room or in all, in order."""
    orders = [order for _, order in runtime.homeserver.performed if isinstance(order, SendMessage)]
    return [
        order.body.removeprefix("re: ")
        for order in orders
        if order.answers and (room is None or order.room_id == room)
    ]


async def test_a_room_answers_one_after_the_other_and_in_order(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    open_calls, most = 0, 0

    def says(request):
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        yield AgentTextChunk(f"re: {request.text}")
        open_calls -= 1
        yield AgentEnd(1)

    runtime.agents.answer = says
    async with runtime.running():
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(20)))
        await settle()
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(20, 40)))
        await runtime.clock.advance(60)
    assert bodies(runtime) == [f"{n}" for n in range(40)]
    assert most == 1


async def test_a_slow_agent_in_one_room_delays_no_other(runtime: RuntimeFixture):
    slow, *others = runtime.with_chats(5)
    runtime.agents.silent.add("slow")
    async with runtime.running():
        runtime.homeserver.next_sync(
            runtime.message(slow, "slow"), *(runtime.message(room, "quick") for room in others)
        )
        await settle()
        assert bodies(runtime) == ["quick"] * 4


async def test_a_slow_lane_delays_no_other(runtime: RuntimeFixture):
    stuck, free = runtime.with_chats(2)
    usual = runtime.homeserver.perform

    async def perform(order, txn_id):
        if getattr(order, "room_id", "") == stuck:
            await runtime.clock.sleep(3600)
        return await usual(order, txn_id)

    runtime.homeserver.perform = perform  # type: ignore[method-assign]
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(stuck, "a"), runtime.message(free, "b"))
        await settle()
        assert bodies(runtime) == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "at_once"), [(1000, 1000), (400, MAX_LOADED + MAX_WAITING + 16), (200, READ_AHEAD)]
)
async def test_a_flood_in_one_room_is_answered_completely_and_in_order(
    runtime: RuntimeFixture, count, at_once
):
    (room,) = runtime.with_chats()
    async with runtime.running():
        for first in range(0, count, at_once):
            numbers = range(first, min(count, first + at_once))
            runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in numbers))
        for _ in range(200):
            await settle()
            if len(runtime.homeserver.performed) >= count:
                break
    assert bodies(runtime) == [f"{n}" for n in range(count)]
    assert runtime.database.rows("SELECT DISTINCT status FROM inbox") == [("done",)]


@pytest.mark.slow
async def test_a_flood_behind_a_slow_answer_is_answered_after_a_restart(runtime):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(500)))
        await settle()
        assert [request.text for request in runtime.agents.requests] == ["0"]
    runtime.agents.silent.clear()
    async with runtime.running():
        for _ in range(100):
            await settle()
    assert bodies(runtime) == [f"{n}" for n in range(500)]


async def test_a_fault_in_one_decision_makes_that_row_a_dead_letter_and_the_others_continue(
    runtime, monkeypatch
):
    sick, well = runtime.with_chats(2)
    usual = room_actor.handle

    def handle(value, event, context, *row):
        if getattr(event, "body", "") == "poison":
            raise ZeroDivisionError("a secret that somebody wrote")
        return usual(value, event, context, *row)

    monkeypatch.setattr(room_actor, "handle", handle)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(
                runtime.message(sick, "before"),
                runtime.message(sick, "poison"),
                runtime.message(well, "elsewhere"),
                runtime.message(sick, "after"),
            )
    assert sorted(bodies(runtime, sick)) == sorted(["before", CATALOG.message_failed(), "after"])
    assert bodies(runtime, well) == ["elsewhere"]
    assert runtime.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [
        ("$2",)
    ]
    (fault,) = [line for line in logs if line["event"] == "actor_fault"]
    assert fault["error"] == "ZeroDivisionError"
    assert fault["where"].startswith("test_dispatcher.py:")
    assert "secret" not in str(logs)


async def test_a_waiting_message_that_breaks_every_event_becomes_a_dead_letter(
    runtime, monkeypatch
):
    (room,) = runtime.with_chats(1)
    usual = room_actor.handle

    def handle(value, event, context, *row):
        after, effects = usual(value, event, context, *row)
        if (
            value.waiting
            and value.waiting[0].message.body == "poison"
            and after.turn is not value.turn
        ):
            raise ZeroDivisionError
        return after, effects

    monkeypatch.setattr(room_actor, "handle", handle)
    async with runtime.running():
        runtime.homeserver.next_sync(
            runtime.message(room, "before"),
            runtime.message(room, "poison"),
            runtime.message(room, "after"),
        )
    assert sorted(bodies(runtime, room)) == sorted(["before", CATALOG.message_failed(), "after"])
    assert runtime.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [
        ("$2",)
    ]


async def test_only_the_rows_of_a_refused_batch_become_dead_letters(runtime: RuntimeFixture):
    sick, well = runtime.with_chats(2)
    async with runtime.running():
        runtime.database.raw.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON outbox WHEN NEW.payload LIKE '%poison%'"
            " BEGIN SELECT RAISE(ABORT, 'injected'); END"
        )
        with capture_logs() as logs:
            runtime.homeserver.next_sync(
                runtime.message(sick, "!rename poison"), runtime.message(well, "elsewhere")
            )
            await settle()
            runtime.homeserver.next_sync(runtime.message(sick, "after"))
            await settle()
    assert bodies(runtime, well) == ["elsewhere"]
    assert bodies(runtime, sick) == ["after"]
    assert runtime.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [
        ("$1",)
    ]
    assert [line["room_id"] for line in logs if line["event"] == "batch_refused"] == [sick]
    (name,) = runtime.database.rows("SELECT name FROM rooms WHERE room_id = ?", sick)
    assert "poison" not in name[0]


async def test_idle_rooms_are_passivated_and_loaded_again(runtime, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_IDLE_CELLS", 3)
    rooms = runtime.with_chats(20)
    async with runtime.running() as bot:
        for _ in range(2):
            runtime.homeserver.next_sync(*(runtime.message(room, "all") for room in rooms))
            await settle()
            runtime.homeserver.next_sync(runtime.message(rooms[0], "one"))
            await settle()
        assert len(bot._dispatcher._cells) <= 3
    assert bodies(runtime) == (["all"] * 20 + ["one"]) * 2


async def test_a_room_with_a_current_turn_is_not_passivated(runtime, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_IDLE_CELLS", 1)
    busy, *others = runtime.with_chats(10)
    runtime.agents.silent.add("long")
    async with runtime.running() as bot:
        runtime.homeserver.next_sync(runtime.message(busy, "long"))
        runtime.homeserver.next_sync(*(runtime.message(room, "quick") for room in others))
        await settle()
        assert busy in bot._dispatcher._cells
        assert len(bot._dispatcher._cells) <= 2


@pytest.mark.slow
async def test_requests_of_one_user_never_block_the_outcome_they_wait_for(runtime: RuntimeFixture):
    """More requests than fit in memory arrive while the room of the first is being created."""
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 5.0
    count = MAX_WAITING + 6
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, "!new") for _ in range(count)))
        await runtime.clock.advance(1)
        runtime.homeserver.delay_s = 0.0
        for _ in range(100):
            await runtime.clock.advance(10)
            if len(bodies(runtime)) == count:
                break
    assert len(bodies(runtime)) == count
    created = runtime.database.rows(
        "SELECT count(DISTINCT chat_id) FROM rooms WHERE chat_id NOT NULL"
    )
    assert created == [(count + 1,)]


@pytest.mark.slow
async def test_a_flood_in_a_room_that_is_being_created_does_not_block_its_creation(runtime):
    runtime.with_chats()
    created = RoomId("!made Chat 2")
    usual = runtime.homeserver.perform
    link = anyio.Event()

    async def perform(order, txn_id):
        if isinstance(order, LinkChild):
            await link.wait()
        return await usual(order, txn_id)

    runtime.homeserver.perform = perform
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(RoomId("!chat1"), "!new"))
        await settle()
        runtime.homeserver.next_sync(
            *(runtime.message(created, f"{n}") for n in range(2 * MAX_WAITING))
        )
        await settle()
        assert bodies(runtime, created) == []
        link.set()
        await runtime.clock.advance(1)
        await settle()
    assert bodies(runtime, created) == [f"{n}" for n in range(2 * MAX_WAITING)]


async def test_a_room_whose_work_is_not_loaded_yet_has_not_caught_up(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    key = ActorKey(room)
    async with runtime.running() as bot:
        await settle()
        assert bot._dispatcher.is_caught_up(key)
        bot._dispatcher.recover({key: 1})
        assert not bot._dispatcher.is_caught_up(key)

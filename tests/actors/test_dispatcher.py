"""Rooms one at a time and all at once: order, windows, faults that stay where they are, and what is forgotten."""

import anyio
import pytest
from structlog.testing import capture_logs

from actors import dispatcher
from actors.cell import WINDOW
from actors.inbox_queues import HELD
from machines.events.agent import AgentEnded, AgentSaid
from machines.events.orders import LinkChild, SendMessage
from machines.i18n import catalog_for
from machines.ids import RoomId
from machines.room import actor as room_actor
from store.inbox import READ_AHEAD
from tests.actors.fakes import House
from tests.idle_loop import settle

CATALOG = catalog_for("en", "Lambda")


def bodies(house: House, room: RoomId | None = None) -> list[str]:
    """What was answered, in a room or in all of them, in the order of the answers."""
    orders = [order for _, order in house.homeserver.performed if isinstance(order, SendMessage)]
    return [
        order.body.removeprefix("re: ")
        for order in orders
        if order.answers and (room is None or order.room_id == room)
    ]


async def test_a_room_answers_one_after_the_other_and_in_order(house: House):
    (room,) = house.with_chats()
    open_calls, most = 0, 0

    def says(request):
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        yield AgentSaid(f"re: {request.text}")
        open_calls -= 1
        yield AgentEnded(1)

    house.agents.says = says
    async with house.living():
        house.homeserver.arrives(*(house.message(room, f"{n}") for n in range(20)))
        await settle()
        house.homeserver.arrives(*(house.message(room, f"{n}") for n in range(20, 40)))
        await house.clock.passes(60)
    assert bodies(house) == [f"{n}" for n in range(40)]
    assert most == 1


async def test_a_slow_agent_in_one_room_holds_up_no_other(house: House):
    slow, *others = house.with_chats(5)
    house.agents.mute.add("slow")
    async with house.living():
        house.homeserver.arrives(
            house.message(slow, "slow"), *(house.message(room, "quick") for room in others)
        )
        await settle()
        assert bodies(house) == ["quick"] * 4


async def test_a_slow_lane_holds_up_no_other(house: House):
    stuck, free = house.with_chats(2)
    usual = house.homeserver.perform

    async def perform(order, txn_id):
        if getattr(order, "room_id", "") == stuck:
            await house.clock.sleep(3600)
        return await usual(order, txn_id)

    house.homeserver.perform = perform  # type: ignore[method-assign]
    async with house.living(killed=True):
        house.homeserver.arrives(house.message(stuck, "a"), house.message(free, "b"))
        await settle()
        assert bodies(house) == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "at_once"), [(1000, 1000), (400, HELD + WINDOW + 16), (200, READ_AHEAD)]
)
async def test_a_flood_in_one_room_is_answered_whole_and_in_order(house: House, count, at_once):
    (room,) = house.with_chats()
    async with house.living():
        for first in range(0, count, at_once):
            numbers = range(first, min(count, first + at_once))
            house.homeserver.arrives(*(house.message(room, f"{n}") for n in numbers))
        for _ in range(200):
            await settle()
            if len(house.homeserver.performed) >= count:
                break
    assert bodies(house) == [f"{n}" for n in range(count)]
    assert house.database.rows("SELECT DISTINCT status FROM inbox") == [("done",)]


@pytest.mark.slow
async def test_a_flood_that_waits_for_a_slow_answer_is_kept_and_answered_after_a_restart(house):
    (room,) = house.with_chats()
    house.agents.mute.add("0")
    async with house.living(killed=True):
        house.homeserver.arrives(*(house.message(room, f"{n}") for n in range(500)))
        await settle()
        assert [request.text for request in house.agents.asked] == ["0"]
    house.agents.mute.clear()
    async with house.living():
        for _ in range(100):
            await settle()
    assert bodies(house) == [f"{n}" for n in range(500)]


async def test_a_fault_in_one_decision_sets_that_row_aside_and_the_others_go_on(house, monkeypatch):
    sick, well = house.with_chats(2)
    usual = room_actor.take

    def take(value, event, world, *row):
        if getattr(event, "body", "") == "poison":
            raise ZeroDivisionError("a secret that somebody wrote")
        return usual(value, event, world, *row)

    monkeypatch.setattr(room_actor, "take", take)
    with capture_logs() as logs:
        async with house.living():
            house.homeserver.arrives(
                house.message(sick, "before"),
                house.message(sick, "poison"),
                house.message(well, "elsewhere"),
                house.message(sick, "after"),
            )
    assert sorted(bodies(house, sick)) == sorted(["before", CATALOG.message_failed(), "after"])
    assert bodies(house, well) == ["elsewhere"]
    assert house.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [("$2",)]
    (fault,) = [line for line in logs if line["event"] == "actor_fault"]
    assert fault["error"] == "ZeroDivisionError"
    assert fault["where"].startswith("test_crank.py:")
    assert "secret" not in str(logs)


async def test_a_waiting_message_that_brings_down_every_event_is_set_aside(house, monkeypatch):
    (room,) = house.with_chats(1)
    usual = room_actor.take

    def take(value, event, world, *row):
        after, effects = usual(value, event, world, *row)
        if (
            value.waiting
            and value.waiting[0].message.body == "poison"
            and after.turn is not value.turn
        ):
            raise ZeroDivisionError
        return after, effects

    monkeypatch.setattr(room_actor, "take", take)
    async with house.living():
        house.homeserver.arrives(
            house.message(room, "before"),
            house.message(room, "poison"),
            house.message(room, "after"),
        )
    assert sorted(bodies(house, room)) == sorted(["before", CATALOG.message_failed(), "after"])
    assert house.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [("$2",)]


async def test_a_visit_that_can_not_be_kept_is_set_aside_alone(house: House):
    sick, well = house.with_chats(2)
    async with house.living():
        house.database.raw.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON outbox WHEN NEW.payload LIKE '%poison%'"
            " BEGIN SELECT RAISE(ABORT, 'injected'); END"
        )
        with capture_logs() as logs:
            house.homeserver.arrives(
                house.message(sick, "!rename poison"), house.message(well, "elsewhere")
            )
            await settle()
            house.homeserver.arrives(house.message(sick, "after"))
            await settle()
    assert bodies(house, well) == ["elsewhere"]
    assert bodies(house, sick) == ["after"]
    assert house.database.rows("SELECT event_id FROM inbox WHERE status = 'set_aside'") == [("$1",)]
    assert [line["actor"] for line in logs if line["event"] == "batch_refused"] == [sick]
    (name,) = house.database.rows("SELECT name FROM rooms WHERE room_id = ?", sick)
    assert "poison" not in name[0]


async def test_rooms_at_rest_are_forgotten_and_come_back_from_their_rows(house, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_IDLE_CELLS", 3)
    rooms = house.with_chats(20)
    async with house.living() as bot:
        for _ in range(2):
            house.homeserver.arrives(*(house.message(room, "all") for room in rooms))
            await settle()
            house.homeserver.arrives(house.message(rooms[0], "one"))
            await settle()
        assert len(bot._dispatcher._cells) <= 3
    assert bodies(house) == (["all"] * 20 + ["one"]) * 2


async def test_a_room_that_has_something_in_hand_is_not_forgotten(house, monkeypatch):
    monkeypatch.setattr(dispatcher, "MAX_IDLE_CELLS", 1)
    busy, *others = house.with_chats(10)
    house.agents.mute.add("long")
    async with house.living() as bot:
        house.homeserver.arrives(house.message(busy, "long"))
        house.homeserver.arrives(*(house.message(room, "quick") for room in others))
        await settle()
        assert busy in bot._dispatcher._cells
        assert len(bot._dispatcher._cells) <= 2


@pytest.mark.slow
async def test_requests_of_one_user_never_shut_out_what_they_wait_for(house: House):
    """More requests than a window holds, while the first of them is being made."""
    (room,) = house.with_chats()
    house.homeserver.takes_s = 5.0
    count = WINDOW + 6
    async with house.living(killed=True):
        house.homeserver.arrives(*(house.message(room, "!new") for _ in range(count)))
        await house.clock.passes(1)
        house.homeserver.takes_s = 0.0
        for _ in range(100):
            await house.clock.passes(10)
            if len(bodies(house)) == count:
                break
    assert len(bodies(house)) == count
    made = house.database.rows("SELECT count(DISTINCT chat_id) FROM rooms WHERE chat_id NOT NULL")
    assert made == [(count + 1,)]


@pytest.mark.slow
async def test_a_flood_in_a_room_that_is_being_made_does_not_keep_it_from_being_finished(house):
    house.with_chats()
    made = RoomId("!made Chat 2")
    usual = house.homeserver.perform
    link = anyio.Event()

    async def perform(order, txn_id):
        if isinstance(order, LinkChild):
            await link.wait()
        return await usual(order, txn_id)

    house.homeserver.perform = perform
    async with house.living():
        house.homeserver.arrives(house.message(RoomId("!chat1"), "!new"))
        await settle()
        house.homeserver.arrives(*(house.message(made, f"{n}") for n in range(2 * WINDOW)))
        await settle()
        assert bodies(house, made) == []
        link.set()
        await house.clock.passes(1)
        await settle()
    assert bodies(house, made) == [f"{n}" for n in range(2 * WINDOW)]

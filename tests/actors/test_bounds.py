"""What waits in one room is bounded, and what is beyond the bound is set aside, told once and seen (contract D14)."""

import pytest

from actors.cell import WINDOW
from actors.inbox_queues import HELD
from machines.events.matrix import MemberChanged
from machines.events.orders import SendMessage
from machines.events.priority import Priority
from machines.ids import EventId, RoomId
from store import inbox
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.support import BERT, CATALOG

HIGH, LOW = 300, 150
NOTICE = CATALOG.too_many_waiting()


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "WAITING_HIGH", HIGH)
    monkeypatch.setattr(inbox, "WAITING_LOW", LOW)


def counts(runtime: RuntimeFixture, room: str) -> dict[str, int]:
    return dict(
        runtime.database.rows(
            "SELECT status, count(*) FROM inbox WHERE actor = ? GROUP BY status", room
        )
    )


async def flood(runtime: RuntimeFixture, room: RoomId, number: int, at_once: int = 100) -> None:
    for first in range(0, number, at_once):
        numbers = range(first, min(number, first + at_once))
        runtime.homeserver.arrives(*(runtime.message(room, f"{n}") for n in numbers))
        await settle()


async def test_what_waits_behind_a_mute_agent_is_bounded_and_told_once(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.mute.add("0")
    async with runtime.running(killed=True):
        await flood(runtime, room, 3 * HIGH)
        assert counts(runtime, room) == {"done": 2, "waiting": HIGH, "set_aside": 2 * HIGH - 1}
        assert runtime.homeserver.said == [NOTICE]
    (notice,) = (order for _, order in runtime.homeserver.performed)
    assert notice == SendMessage(room, NOTICE, notice=True), "it answers no message (D2)"
    aside = runtime.database.rows(
        "SELECT DISTINCT payload, reason FROM inbox WHERE status = 'set_aside'"
    )
    assert aside == [("", f"{HIGH} messages waited here already")]


async def test_a_restart_while_too_much_waits_tells_nobody_again(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.mute.add("0")
    for _ in range(3):
        async with runtime.running(killed=True):
            await flood(runtime, room, HIGH)
    assert runtime.homeserver.said == [NOTICE]
    assert counts(runtime, room)["waiting"] == HIGH


@pytest.mark.slow
async def test_messages_are_taken_again_once_half_are_answered_and_not_before(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.agents.mute |= {"0", f"{HIGH - LOW + 1}"}
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 10)
        runtime.homeserver.arrives(runtime.message(room, "!stop"))
        for _ in range(100):
            await settle()
        assert counts(runtime, room)["waiting"] < LOW
        before = counts(runtime, room)["set_aside"]
        late = runtime.message(room, "taken again")
        runtime.homeserver.arrives(late)
        await settle()
        assert counts(runtime, room)["set_aside"] == before
        assert runtime.database.rows(
            "SELECT status FROM inbox WHERE event_id = ?", late.event_id
        ) == [("waiting",)]
        await flood(runtime, room, HIGH)
        assert runtime.homeserver.said.count(NOTICE) == 2


@pytest.mark.slow
async def test_in_between_what_comes_is_still_set_aside(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.mute |= {"0", "50"}
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 10)
        runtime.homeserver.arrives(runtime.message(room, "!stop"))
        for _ in range(30):
            await settle()
        assert LOW < counts(runtime, room)["waiting"] < HIGH
        before = counts(runtime, room)["set_aside"]
        await flood(runtime, room, 1)
        assert counts(runtime, room)["set_aside"] == before + 1
        assert runtime.homeserver.said.count(NOTICE) == 1


async def test_stop_gets_through_in_a_room_that_takes_no_message_any_more(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.mute |= {"0", "1"}
    async with runtime.running(killed=True):
        await flood(runtime, room, 2 * HIGH)
        stop = runtime.message(room, "!stop")
        runtime.homeserver.arrives(stop)
        await settle()
    assert (EventId("$1"), CATALOG.stopped_nothing()) in runtime.homeserver.replies
    assert (stop.event_id, CATALOG.stop_done()) in runtime.homeserver.replies


async def test_what_happens_to_a_room_is_kept_and_taken_beyond_the_bound(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.mute.add("0")
    async with runtime.running(killed=True):
        await flood(runtime, room, 2 * HIGH)
        left = MemberChanged(room, EventId("$left"), BERT, "leave")
        runtime.homeserver.arrives(left)
        await settle()
        rows = runtime.database.rows("SELECT status FROM inbox WHERE event_id = '$left'")
        assert rows == [("done",)]


async def test_what_waits_in_a_room_that_failed_is_bounded_and_its_cell_holds_no_more_than_a_window(
    runtime,
):
    runtime.with_chats()
    nowhere = RoomId("!nowhere")
    async with runtime.running(killed=True) as bot:
        # The first alone: what comes to a cell that is awake is handed over, not read.
        await flood(runtime, nowhere, 1)
        await flood(runtime, nowhere, 3 * HIGH)
        assert counts(runtime, nowhere)["waiting"] == HIGH
        assert sorted(runtime.homeserver.said) == sorted([CATALOG.room_recovery_failed(), NOTICE])
        cell = bot._dispatcher._cells[nowhere]
        assert len(cell.value.waiting) == WINDOW
        assert all(cell.inbox.held(priority) == 0 for priority in Priority)


@pytest.mark.slow
async def test_who_writes_beyond_the_bound_of_a_failed_room_is_heard(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    linked, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 5)
        await runtime.clock.passes(4 * 3600.0)
        runtime.homeserver.rooms = linked
        runtime.homeserver.arrives(runtime.message(room, "and now?"))
        await runtime.clock.passes(61.0)
        state = runtime.database.rows("SELECT state FROM rooms WHERE room_id = ?", room)
    assert state == [("bound",)]


async def test_a_cell_behind_a_mute_agent_holds_a_bounded_number_of_rows(runtime, monkeypatch):
    monkeypatch.setattr(inbox, "WAITING_HIGH", 10 * HELD)
    (room,) = runtime.with_chats()
    runtime.agents.mute.add("0")
    async with runtime.running(killed=True) as bot:
        await flood(runtime, room, 5 * HELD)
        cell = bot._dispatcher._cells[room]
        assert len(cell.value.waiting) == WINDOW
        assert cell.inbox.held(Priority.MESSAGE) <= HELD


@pytest.mark.slow
async def test_requests_of_one_user_are_bounded_and_told_in_the_room_they_come_from(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.homeserver.takes_s = 1e6
    async with runtime.running(killed=True) as bot:
        for _ in range(20):
            runtime.homeserver.arrives(*(runtime.message(room, "!new") for _ in range(HIGH // 10)))
            await settle()
        (user,) = runtime.database.rows("SELECT user_id FROM users")
        assert counts(runtime, user[0])["waiting"] == HIGH
        assert counts(runtime, user[0])["set_aside"] == HIGH - 1
        assert len(bot._dispatcher._cells[user[0]].value.waiting) == WINDOW
    orders = runtime.database.rows("SELECT payload FROM outbox WHERE kind = 'send_message'")
    assert [NOTICE[:40] in payload for (payload,) in orders] == [True]

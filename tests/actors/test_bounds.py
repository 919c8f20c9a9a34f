"""Queues are bounded: messages beyond the bound become dead letters, with one notice (contract D14)."""

import pytest

from actors.cell import MAX_WAITING
from actors.inbox_queues import MAX_LOADED
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
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in numbers))
        await settle()


async def test_messages_behind_a_silent_agent_are_bounded_and_reported_once(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        await flood(runtime, room, 3 * HIGH)
        assert counts(runtime, room) == {"done": 2, "waiting": HIGH, "set_aside": 2 * HIGH - 1}
        assert runtime.homeserver.sent_bodies == [NOTICE]
    (notice,) = (order for _, order in runtime.homeserver.performed)
    assert notice == SendMessage(room, NOTICE, notice=True), "it answers no message (D2)"
    dead_letters = runtime.database.rows(
        "SELECT DISTINCT payload, reason FROM inbox WHERE status = 'set_aside'"
    )
    assert dead_letters == [("", f"{HIGH} messages waited here already")]


async def test_a_restart_during_an_overflow_sends_no_second_notice(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    for _ in range(3):
        async with runtime.running(killed=True):
            await flood(runtime, room, HIGH)
    assert runtime.homeserver.sent_bodies == [NOTICE]
    assert counts(runtime, room)["waiting"] == HIGH


@pytest.mark.slow
async def test_messages_are_accepted_again_when_half_are_answered_and_not_before(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.agents.silent |= {"0", f"{HIGH - LOW + 1}"}
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 10)
        runtime.homeserver.next_sync(runtime.message(room, "!stop"))
        for _ in range(100):
            await settle()
        assert counts(runtime, room)["waiting"] < LOW
        before = counts(runtime, room)["set_aside"]
        late = runtime.message(room, "taken again")
        runtime.homeserver.next_sync(late)
        await settle()
        assert counts(runtime, room)["set_aside"] == before
        assert runtime.database.rows(
            "SELECT status FROM inbox WHERE event_id = ?", late.event_id
        ) == [("waiting",)]
        await flood(runtime, room, HIGH)
        assert runtime.homeserver.sent_bodies.count(NOTICE) == 2


async def test_until_then_new_messages_become_dead_letters(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent |= {"0", "50"}
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 10)
        runtime.homeserver.next_sync(runtime.message(room, "!stop"))
        for _ in range(30):
            await settle()
        assert LOW < counts(runtime, room)["waiting"] < HIGH
        before = counts(runtime, room)["set_aside"]
        await flood(runtime, room, 1)
        assert counts(runtime, room)["set_aside"] == before + 1
        assert runtime.homeserver.sent_bodies.count(NOTICE) == 1


async def test_stop_is_handled_in_a_room_that_accepts_no_more_messages(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent |= {"0", "1"}
    async with runtime.running(killed=True):
        await flood(runtime, room, 2 * HIGH)
        stop = runtime.message(room, "!stop")
        runtime.homeserver.next_sync(stop)
        await settle()
    assert (EventId("$1"), CATALOG.stopped()) in runtime.homeserver.replies
    assert (stop.event_id, CATALOG.stop_done(others_wait=True)) in runtime.homeserver.replies


async def test_events_of_a_room_are_stored_and_handled_beyond_the_bound(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        await flood(runtime, room, 2 * HIGH)
        left = MemberChanged(room, EventId("$left"), BERT, "leave")
        runtime.homeserver.next_sync(left)
        await settle()
        rows = runtime.database.rows("SELECT status FROM inbox WHERE event_id = '$left'")
        assert rows == [("done",)]


async def test_messages_in_a_failed_room_are_bounded_and_so_is_its_cell(
    runtime,
):
    runtime.with_chats()
    nowhere = RoomId("!nowhere")
    async with runtime.running(killed=True) as bot:
        # Only the first: rows for an active cell are delivered, not read.
        await flood(runtime, nowhere, 1)
        await flood(runtime, nowhere, 3 * HIGH)
        assert counts(runtime, nowhere)["waiting"] == HIGH
        assert sorted(runtime.homeserver.sent_bodies) == sorted(
            [CATALOG.room_recovery_failed(), NOTICE]
        )
        cell = bot._dispatcher._cells[nowhere]
        assert len(cell.actor.waiting) == MAX_WAITING
        assert all(len(cell.inbox.queues[priority].rows) == 0 for priority in Priority)


@pytest.mark.slow
async def test_a_message_beyond_the_bound_of_a_failed_room_starts_a_repair(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    linked, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    async with runtime.running(killed=True):
        await flood(runtime, room, HIGH + 5)
        await runtime.clock.advance(4 * 3600.0)
        runtime.homeserver.rooms = linked
        runtime.homeserver.next_sync(runtime.message(room, "and now?"))
        await runtime.clock.advance(61.0)
        state = runtime.database.rows("SELECT state FROM rooms WHERE room_id = ?", room)
    assert state == [("bound",)]


async def test_a_cell_behind_a_silent_agent_has_a_bounded_number_of_rows(runtime, monkeypatch):
    monkeypatch.setattr(inbox, "WAITING_HIGH", 10 * MAX_LOADED)
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True) as bot:
        await flood(runtime, room, 5 * MAX_LOADED)
        cell = bot._dispatcher._cells[room]
        assert len(cell.actor.waiting) == MAX_WAITING
        assert len(cell.inbox.queues[Priority.MESSAGE].rows) <= MAX_LOADED


async def test_requests_of_one_user_are_bounded_and_reported_in_their_room(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 1e6
    async with runtime.running(killed=True) as bot:
        for _ in range(20):
            runtime.homeserver.next_sync(
                *(runtime.message(room, "!new") for _ in range(HIGH // 10))
            )
            await settle()
        (user,) = runtime.database.rows("SELECT user_id FROM users")
        assert counts(runtime, user[0])["waiting"] == HIGH
        assert counts(runtime, user[0])["set_aside"] == HIGH - 1
        assert len(bot._dispatcher._cells[user[0]].actor.waiting) == MAX_WAITING
    orders = runtime.database.rows("SELECT payload FROM outbox WHERE kind = 'send_message'")
    assert [NOTICE[:40] in payload for (payload,) in orders] == [True]

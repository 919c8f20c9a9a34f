"""Commands that act at once, and events of the room, overtake waiting messages (contract K9)."""

import pytest
from msgspec.structs import replace

from actors.cell import MAX_WAITING
from machines.events.matrix import BotRemoved
from machines.ids import EventId, UserId
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.support import CATALOG
from tests.store.values import save_events

MANY = 3_000
"""More than the room's actor, a queue in memory and a read from the database contain together."""


def stopped(runtime: RuntimeFixture) -> list[str]:
    return [body for answered, body in runtime.homeserver.replies if answered == "$1"]


@pytest.mark.parametrize("waiting", [MAX_WAITING + 6, MANY])
async def test_stop_ends_the_current_answer_behind_any_number_of_messages(
    runtime: RuntimeFixture, waiting
):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(1 + waiting)))
        await settle()
        runtime.agents.silent.add("1")
        runtime.homeserver.next_sync(runtime.message(room, "!stop"))
        await settle()
        assert stopped(runtime) == [CATALOG.stopped()]
        await runtime.clock.advance(1)
    assert [request.text for request in runtime.agents.requests] == ["0", "1"]


async def test_stop_is_handled_after_a_restart_with_a_full_queue(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent |= {"0", "1"}
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(MANY)))
        await settle()
    stop = runtime.message(room, "!stop")
    await save_events(runtime.journal, [runtime.message(room, "one more"), stop], 1.0)
    async with runtime.running(killed=True):
        await settle()
        assert stopped(runtime) == [CATALOG.stopped()]
        assert (stop.event_id, CATALOG.stop_done(others_wait=True)) in runtime.homeserver.replies


@pytest.mark.slow
async def test_messages_behind_a_stop_are_answered_in_order(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running():
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(300)))
        runtime.homeserver.next_sync(runtime.message(room, "!stop"), runtime.message(room, "300"))
        for _ in range(60):
            await settle()
    answers = [body for _, body in runtime.homeserver.replies if body.startswith("re: ")]
    assert answers == [f"re: {n}" for n in range(1, 301)]


async def test_a_stop_from_another_user_stops_nothing(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(MANY)))
        stop = replace(runtime.message(room, "!stop"), sender=UserId("@eve:example.org"))
        runtime.homeserver.next_sync(stop)
        await settle()
        assert runtime.homeserver.replies == []
    rows = runtime.database.rows("SELECT status FROM inbox WHERE event_id = ?", stop.event_id)
    assert rows == [("done",)]


async def test_a_room_with_a_full_queue_handles_the_removal_of_the_bot(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in range(MANY)))
        runtime.homeserver.rooms = []
        runtime.homeserver.next_sync(BotRemoved(room, EventId("$out"), None, "kicked"))
        await settle()
        assert runtime.agents.closed == ["0"]
    (state,) = runtime.database.rows("SELECT state, reason FROM rooms WHERE room_id = ?", room)
    assert state == ("unregistered", "kicked")

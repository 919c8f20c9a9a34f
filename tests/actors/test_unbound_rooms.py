"""Rooms that are not bound, across starts: repairs for waiting messages, one notice, a clock that was set back."""

import pytest
from msgspec.structs import replace

from actors.cell import MAX_WAITING
from machines.events.internal import OrderDone
from machines.events.orders import Done, StoreBinding
from machines.ids import ActorKey, EventId, RoomId, TxnId
from store.records import OutboxRow, UnitOfWork
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.room.topologies import space
from tests.machines.support import ANNA, CATALOG

NOTICE = CATALOG.room_recovery_failed()
TWO_HOURS_S = 7200.0


def unlink(runtime: RuntimeFixture) -> list:
    """Remove the chat from its Space; returns the previous rooms of the homeserver."""
    linked = runtime.homeserver.rooms
    bare = space("!space", binding={"room_type": "space", "matrix_user_id": ANNA})
    runtime.homeserver.rooms = [bare, *linked[1:]]
    return linked


def state_of(runtime: RuntimeFixture, room: RoomId) -> object:
    ((state,),) = runtime.database.rows("SELECT state FROM rooms WHERE room_id = ?", room)
    return state


async def test_the_current_turn_of_a_room_that_failed_at_start_continues_when_it_is_restored(
    runtime,
):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("question")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(room, "question"))
    runtime.agents.silent.clear()
    linked = unlink(runtime)
    async with runtime.running():
        assert state_of(runtime, room) == "failed"
        assert runtime.homeserver.sent_bodies == [NOTICE], (
            "the failure is reported though there is no message"
        )
        runtime.homeserver.rooms = linked
        await runtime.clock.advance(60.0)
    assert runtime.homeserver.replies == [("$1", "re: question")]


async def test_the_current_turn_of_a_room_that_is_restored_at_start_sends_no_notice(runtime):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("question")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(room, "question"))
    runtime.agents.silent.clear()
    linked = unlink(runtime)
    look = runtime.homeserver.observe_room

    async def observe_room(room_id, spaces=()):
        runtime.homeserver.rooms = linked
        return await look(room_id, spaces)

    runtime.homeserver.observe_room = observe_room
    async with runtime.running():
        pass
    assert runtime.homeserver.sent_bodies == ["re: question"]


async def test_ten_starts_with_one_waiting_message_give_one_notice(runtime):
    (room,) = runtime.with_chats()
    unlink(runtime)
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(room, "hello?"))
    for _ in range(10):
        async with runtime.running(killed=True):
            await runtime.clock.advance(130.0)
    assert runtime.homeserver.sent_bodies == [NOTICE]
    failed_repairs = runtime.homeserver.calls.count(f"observe_room {room}")
    assert failed_repairs > 10


async def test_a_clock_set_back_between_two_starts_delays_no_repair(runtime):
    (room,) = runtime.with_chats()
    linked = unlink(runtime)
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "hello?"))
    runtime.clock.set_back(TWO_HOURS_S)
    async with runtime.running():
        await settle()
        runtime.homeserver.rooms = linked
        await runtime.clock.advance(60.0)
    assert runtime.homeserver.replies == [("$1", "re: hello?")]


async def test_after_a_day_in_a_failed_room_the_message_becomes_a_dead_letter(runtime):
    (room,) = runtime.with_chats()
    unlink(runtime)
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "hello?"))
        await runtime.clock.advance(20 * 3600.0)
    async with runtime.running():
        await runtime.clock.advance(6 * 3600.0)
    ((status, reason),) = runtime.database.rows(
        "SELECT status, reason FROM inbox WHERE event_id = '$1'"
    )
    assert (status, reason) == ("set_aside", "the room could not be restored within 24 hours")
    assert runtime.homeserver.sent_bodies == [NOTICE]


@pytest.mark.parametrize("under_way", [OrderDone(TxnId("t"), Done(EventId("$e"))), None])
async def test_a_repair_that_was_killed_is_repeated_for_a_later_message(runtime, under_way):
    """A room with orders in flight is not changed at start."""
    (room,) = runtime.with_chats()
    async with runtime.running():
        pass
    (before,) = [
        each for each in (await runtime.journal.stored()).rooms.values() if each.room_id == room
    ]
    await runtime.save_rooms(replace(before, state="reconciling", repair_pending=True))
    if under_way is not None:
        await runtime.journal.deliver_event(ActorKey(room), under_way, 1.0)
    else:
        assert before.binding is not None
        order = StoreBinding(room, before.binding.content())
        row = OutboxRow(TxnId("b"), room, ActorKey(room), order, False, 0.0, 1.0)
        await runtime.journal.save_units_of_work([UnitOfWork(orders=(row,))], 1.0)
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "hello?"))
    assert runtime.homeserver.replies == [("$1", "re: hello?")]


async def test_a_message_behind_a_full_cell_starts_a_repair(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    linked = unlink(runtime)
    async with runtime.running():
        runtime.homeserver.next_sync(
            *(runtime.message(room, f"{n}") for n in range(MAX_WAITING + 10))
        )
        await runtime.clock.advance(4 * 3600.0)
        assert runtime.homeserver.sent_bodies == [NOTICE], "the clock alone causes no second notice"
        runtime.homeserver.next_sync(runtime.message(room, "still there?"))
        await runtime.clock.advance(61.0)
        assert runtime.homeserver.sent_bodies == [NOTICE, NOTICE]
        runtime.homeserver.rooms = linked
        runtime.homeserver.next_sync(runtime.message(room, "and now?"))
        await runtime.clock.advance(61.0)
        assert state_of(runtime, room) == "bound"
    assert runtime.homeserver.replies[-1][1] == "re: and now?"

"""Rooms that are not bound, across starts: looks for what waits, one notice, and a clock that was set back."""

import pytest
from msgspec.structs import replace

from actors.cell import WINDOW
from machines.events.internal import OrderDone
from machines.events.orders import Done, StoreBinding
from machines.ids import ActorKey, EventId, RoomId, TxnId
from store.records import OutboxRow, UnitOfWork
from tests.actors.fakes import House
from tests.idle_loop import settle
from tests.machines.room.topologies import space
from tests.machines.support import ANNA, CATALOG

NOTICE = CATALOG.room_recovery_failed()
TWO_HOURS_S = 7200.0


def unlink(house: House) -> list:
    """Take the chat out of its Space; returns what the homeserver showed before."""
    linked = house.homeserver.rooms
    bare = space("!space", binding={"room_type": "space", "matrix_user_id": ANNA})
    house.homeserver.rooms = [bare, *linked[1:]]
    return linked


def state_of(house: House, room: RoomId) -> object:
    ((state,),) = house.database.rows("SELECT state FROM rooms WHERE room_id = ?", room)
    return state


async def test_a_turn_in_hand_of_a_room_that_failed_at_start_goes_on_when_it_is_restored(house):
    (room,) = house.with_chats()
    house.agents.mute.add("question")
    async with house.living(killed=True):
        house.homeserver.arrives(house.message(room, "question"))
    house.agents.mute.clear()
    linked = unlink(house)
    async with house.living():
        assert state_of(house, room) == "failed"
        assert house.homeserver.said == [NOTICE], "people hear of it though nobody writes"
        house.homeserver.rooms = linked
        await house.clock.passes(60.0)
    assert house.homeserver.replies == [("$1", "re: question")]


async def test_a_turn_in_hand_whose_room_is_restored_by_the_look_at_start_says_nothing(house):
    (room,) = house.with_chats()
    house.agents.mute.add("question")
    async with house.living(killed=True):
        house.homeserver.arrives(house.message(room, "question"))
    house.agents.mute.clear()
    linked = unlink(house)
    look = house.homeserver.observe_room

    async def true_look(room_id, spaces=()):
        house.homeserver.rooms = linked
        return await look(room_id, spaces)

    house.homeserver.observe_room = true_look
    async with house.living():
        pass
    assert house.homeserver.said == ["re: question"]


async def test_ten_starts_with_one_waiting_message_give_one_notice(house):
    (room,) = house.with_chats()
    unlink(house)
    async with house.living(killed=True):
        house.homeserver.arrives(house.message(room, "hello?"))
    for _ in range(10):
        async with house.living(killed=True):
            await house.clock.passes(130.0)
    assert house.homeserver.said == [NOTICE]
    looks = house.homeserver.calls.count(f"observe_room {room}")
    assert looks > 10


async def test_a_clock_set_back_between_two_starts_holds_up_no_repair(house):
    (room,) = house.with_chats()
    linked = unlink(house)
    async with house.living():
        house.homeserver.arrives(house.message(room, "hello?"))
    house.clock.set_back(TWO_HOURS_S)
    async with house.living():
        await settle()
        house.homeserver.rooms = linked
        await house.clock.passes(60.0)
    assert house.homeserver.replies == [("$1", "re: hello?")]


async def test_a_day_in_a_failed_room_restart_included_ends_with_the_message_set_aside(house):
    (room,) = house.with_chats()
    unlink(house)
    async with house.living():
        house.homeserver.arrives(house.message(room, "hello?"))
        await house.clock.passes(20 * 3600.0)
    async with house.living():
        await house.clock.passes(6 * 3600.0)
    ((status, reason),) = house.database.rows(
        "SELECT status, reason FROM inbox WHERE event_id = '$1'"
    )
    assert (status, reason) == ("set_aside", "the room could not be restored within 24 hours")
    assert house.homeserver.said == [NOTICE]


@pytest.mark.parametrize("under_way", [OrderDone(TxnId("t"), Done(EventId("$e"))), None])
async def test_a_look_that_died_with_its_process_is_made_again_for_who_writes_later(
    house, under_way
):
    """What is on its way for the room keeps the start from judging it."""
    (room,) = house.with_chats()
    async with house.living():
        pass
    (before,) = [
        each for each in (await house.journal.stored()).rooms.values() if each.room_id == room
    ]
    await house.keep_rooms(replace(before, state="reconciling", looking=True))
    if under_way is not None:
        await house.journal.tell(ActorKey(room), under_way, 1.0)
    else:
        assert before.binding is not None
        order = StoreBinding(room, before.binding.content())
        row = OutboxRow(TxnId("b"), room, ActorKey(room), order, False, 0.0, 1.0)
        await house.journal.save_units_of_work([UnitOfWork(orders=(row,))], 1.0)
    async with house.living():
        house.homeserver.arrives(house.message(room, "hello?"))
    assert house.homeserver.replies == [("$1", "re: hello?")]


async def test_who_writes_behind_a_full_window_is_heard(house: House):
    (room,) = house.with_chats()
    linked = unlink(house)
    async with house.living():
        house.homeserver.arrives(*(house.message(room, f"{n}") for n in range(WINDOW + 10)))
        await house.clock.passes(4 * 3600.0)
        assert house.homeserver.said == [NOTICE], "by the clock alone nobody is told again"
        house.homeserver.arrives(house.message(room, "still there?"))
        await house.clock.passes(61.0)
        assert house.homeserver.said == [NOTICE, NOTICE]
        house.homeserver.rooms = linked
        house.homeserver.arrives(house.message(room, "and now?"))
        await house.clock.passes(61.0)
        assert state_of(house, room) == "bound"
    assert house.homeserver.replies[-1][1] == "re: and now?"

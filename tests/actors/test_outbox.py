"""Orders: each lane in order, edits of what was sent, nothing superseded, outcomes told (D1, D6, D8)."""

import anyio
from msgspec.structs import replace

from actors.outbox import EDIT_INTERVAL_S, TXN_ID_LIFETIME_S
from machines.events.internal import OrderDone
from machines.events.orders import (
    CreateRoom,
    Done,
    EnsureInvited,
    RedactMessage,
    Refused,
    SendMessage,
)
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.turn.reply import LONGEST_ORDER_WAIT_S
from store.records import UnitOfWork
from tests.actors.desk import ROOM, Desk, open_desk
from tests.actors.fakes import House
from tests.idle_loop import settle


async def test_a_lane_is_sent_one_after_the_other(house: House):
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        await desk.commit_and_send(*(desk.row(f"t{n}") for n in range(5)))
        for count in range(5):
            assert len(desk.sent) == count
            await house.clock.passes(1.0)
    assert desk.sent == [f"t{n}" for n in range(5)]


async def test_lanes_are_sent_at_once(house: House):
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        rows = [desk.row(f"t{n}", SendMessage(RoomId(f"!{n}"), "x")) for n in range(20)]
        await desk.commit_and_send(*rows)
        await house.clock.passes(1.0)
        assert len(desk.sent) == 20


async def test_an_order_waits_for_its_time_and_what_is_behind_it_waits_too(house: House):
    async with open_desk(house) as desk:
        later = desk.row("late", not_before=house.clock.now() + 3)
        await desk.commit_and_send(later, desk.row("behind"))
        await house.clock.passes(2.9)
        assert desk.sent == []
        await house.clock.passes(0.2)
        assert desk.sent == ["late", "behind"]


async def test_an_order_of_a_clock_that_was_ahead_waits_no_longer_than_any(house: House):
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("late", not_before=house.clock.now() + 7200))
        await house.clock.passes(LONGEST_ORDER_WAIT_S)
        assert desk.sent == ["late"]


async def test_an_edit_is_of_the_event_that_its_message_was_sent_as(house: House):
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("m"), desk.edit("m.e1", "m"))
        await desk.commit_and_send(desk.row("undo", RedactMessage(ROOM, TxnId("m"))))
    orders = dict(house.homeserver.performed)
    edit, redaction = orders[TxnId("m.e1")], orders[TxnId("undo")]
    assert isinstance(edit, SendMessage)
    assert isinstance(redaction, RedactMessage)
    assert edit.edits_event_id == redaction.redacts_event_id == "$sent m"


async def test_the_event_of_an_earlier_process_is_found_in_the_database(house: House):
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("m"))
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.edit("m.e1", "m"))
    edit = dict(house.homeserver.performed)[TxnId("m.e1")]
    assert isinstance(edit, SendMessage)
    assert edit.edits_event_id == "$sent m"


async def test_an_edit_of_what_was_never_sent_is_refused_without_a_request(house: House):
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.edit("e", "never", droppable=False, partial=False))
    assert desk.sent == []
    (row,) = desk.delivered
    assert isinstance(row.event.outcome, Refused)
    assert house.database.rows("SELECT status FROM outbox") == [("refused",)]


async def test_nobody_is_invited_who_may_not_talk_to_the_bot_any_more(house: House):
    anna = UserId("@anna:example.org")
    async with open_desk(house) as desk:
        desk.turned_away.add(anna)
        space = CreateRoom("space of @anna:example.org", "Lambda", anna, space=True)
        await desk.commit_and_send(
            desk.row("space", space), desk.row("again", EnsureInvited(ROOM, anna))
        )
    assert desk.sent == []
    assert [row.event.outcome.kind for row in desk.delivered] == ["forbidden"] * 2


async def test_edits_that_are_overtaken_while_they_wait_are_never_sent(house: House):
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("m"))
        for number in (1, 2, 3):
            await desk.commit_and_send(desk.edit(f"m.e{number}", "m"), dropped=(TxnId("m"),))
        last = desk.edit("m.e4", "m", droppable=False, partial=False)
        await desk.commit_and_send(last, dropped=(TxnId("m"),))
    assert desk.sent == ["m", "m.e4"]
    assert house.database.rows("SELECT count(*) FROM outbox WHERE status = 'waiting'") == [(0,)]


async def test_a_final_edit_is_never_dropped(house: House):
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        final = desk.edit("m.e1", "m", droppable=False, partial=False)
        await desk.commit_and_send(desk.row("m"), final)
        await desk.commit_and_send(dropped=(TxnId("m"),))
    assert desk.sent == ["m", "m.e1"]


async def test_edits_are_dropped_in_the_lane_of_their_message_and_no_other_is_looked_through(house):
    class Untouchable(list):
        def __iter__(self):
            raise AssertionError("another room's lane was looked through")

    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("m"), desk.edit("m.e1", "m"))
        desk.outbox._lanes["!other"] = Untouchable([desk.row("n")])
        await desk.commit_and_send(dropped=(TxnId("m"),))
        del desk.outbox._lanes["!other"]
    assert desk.sent == ["m"]


async def test_an_edit_keeps_its_distance_from_a_text_that_was_late(house: House):
    house.homeserver.takes_s = 10.0
    async with open_desk(house) as desk:
        first = desk.row("m", SendMessage(ROOM, "m", partial=True))
        await desk.commit_and_send(first, desk.edit("m.e1", "m"))
        await house.clock.passes(10.0)
        house.homeserver.takes_s = 0.0
        assert desk.sent == ["m"]
        await house.clock.passes(EDIT_INTERVAL_S - 0.1)
        assert desk.sent == ["m"]
        await house.clock.passes(0.2)
        assert desk.sent == ["m", "m.e1"]


async def test_the_outcome_is_told_where_it_is_waited_for_and_refusals_always(house: House):
    no = Refused("forbidden", "M_FORBIDDEN", "no")
    house.homeserver.outcome = lambda order: (
        no if isinstance(order, SendMessage) and order.body == "no" else None
    )
    async with open_desk(house) as desk:
        question = SendMessage(ROOM, "no", answers=EventId("$asked"))
        await desk.commit_and_send(
            desk.row("quiet"), desk.row("loud", reports=True), desk.row("refused", question)
        )
    told = [row.event for row in desk.delivered]
    assert told == [
        OrderDone(TxnId("loud"), Done(EventId("$sent loud"))),
        OrderDone(TxnId("refused"), no, EventId("$asked")),
    ]
    assert desk.sent == ["quiet", "loud", "refused"]


async def test_a_whole_reply_is_reported_when_nothing_waits_behind_it(house: House):
    async with open_desk(house) as desk:
        whole = SendMessage(ROOM, "x", answers=EventId("$1"))
        partial = SendMessage(ROOM, "x", answers=EventId("$2"), partial=True)
        await desk.commit_and_send(desk.row("a", whole), desk.row("b", partial))
        await settle()
        assert desk.replied == []
        await desk.commit_and_send(desk.row("c", replace(whole, answers=EventId("$3"))))
        await settle()
        assert desk.replied == [(ROOM, "$3")]


async def test_a_reply_that_is_refused_leaves_the_room_as_it_was(house: House):
    house.homeserver.outcome = lambda order: Refused("forbidden", "M_FORBIDDEN", "no")
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("a", SendMessage(ROOM, "x", answers=EventId("$1"))))
        await settle()
        assert desk.sent == ["a"]
        assert desk.replied == []


async def test_what_an_earlier_process_left_is_sent_in_its_order(house: House):
    desk = Desk(house)
    rows = tuple(desk.row(f"t{n}") for n in range(3))
    await house.journal.save_units_of_work([UnitOfWork(orders=rows)], 1.0)
    async with open_desk(house) as desk:
        await settle()
        assert desk.sent == ["t0", "t1", "t2"]
    assert not any(call.startswith("find_sent") for call in house.homeserver.calls)


async def test_a_message_from_too_long_ago_is_looked_for_before_it_is_sent(house: House):
    desk = Desk(house)
    old = replace(desk.row("old"), created_at=house.clock.now() - TXN_ID_LIFETIME_S - 1)
    await house.journal.save_units_of_work([UnitOfWork(orders=(old,))], 1.0)
    async with open_desk(house):
        pass
    assert house.homeserver.calls == ["find_sent old"]


async def test_flush_returns_when_every_lane_is_empty(house: House):
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        await desk.outbox.flush()
        await desk.commit_and_send(desk.row("a"), desk.row("b"))
        async with anyio.create_task_group() as group:
            group.start_soon(desk.outbox.flush)
            await house.clock.passes(1.5)
            assert desk.sent == ["a"]
            await house.clock.passes(1.0)
        assert desk.sent == ["a", "b"]

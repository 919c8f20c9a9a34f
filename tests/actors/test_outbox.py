"""Orders: each lane in order, edits of sent messages, no superseded edits, reported outcomes (D1, D6, D8)."""

import anyio
from msgspec.structs import replace

from actors.outbox import TXN_ID_LIFETIME_S
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
from machines.turn.reply import EDIT_INTERVAL_S, LONGEST_ORDER_WAIT_S
from store.records import UnitOfWork
from tests.actors.fakes import RuntimeFixture
from tests.actors.outbox_fixture import ROOM, OutboxFixture, open_outbox
from tests.idle_loop import settle


async def test_orders_of_a_lane_are_sent_one_after_the_other(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(*(outbox_fixture.row(f"t{n}") for n in range(5)))
        for count in range(5):
            assert len(outbox_fixture.sent) == count
            await runtime.clock.advance(1.0)
    assert outbox_fixture.sent == [f"t{n}" for n in range(5)]


async def test_lanes_are_sent_concurrently(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        rows = [outbox_fixture.row(f"t{n}", SendMessage(RoomId(f"!{n}"), "x")) for n in range(20)]
        await outbox_fixture.commit_and_enqueue(*rows)
        await runtime.clock.advance(1.0)
        assert len(outbox_fixture.sent) == 20


async def test_an_order_waits_for_its_time_and_so_do_the_orders_behind_it(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        later = outbox_fixture.row("late", not_before=runtime.clock.now() + 3)
        await outbox_fixture.commit_and_enqueue(later, outbox_fixture.row("behind"))
        await runtime.clock.advance(2.9)
        assert outbox_fixture.sent == []
        await runtime.clock.advance(0.2)
        assert outbox_fixture.sent == ["late", "behind"]


async def test_an_order_from_a_clock_that_was_ahead_has_a_bounded_wait(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("late", not_before=runtime.clock.now() + 7200)
        )
        await runtime.clock.advance(LONGEST_ORDER_WAIT_S)
        assert outbox_fixture.sent == ["late"]


async def test_an_edit_refers_to_the_event_id_of_its_message(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("m"), outbox_fixture.edit("m.e1", "m")
        )
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("undo", RedactMessage(ROOM, TxnId("m")))
        )
    orders = dict(runtime.homeserver.performed)
    edit, redaction = orders[TxnId("m.e1")], orders[TxnId("undo")]
    assert isinstance(edit, SendMessage)
    assert isinstance(redaction, RedactMessage)
    assert edit.edits_event_id == redaction.redacts_event_id == "$sent m"


async def test_the_event_of_an_earlier_process_is_found_in_the_database(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(outbox_fixture.row("m"))
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(outbox_fixture.edit("m.e1", "m"))
    edit = dict(runtime.homeserver.performed)[TxnId("m.e1")]
    assert isinstance(edit, SendMessage)
    assert edit.edits_event_id == "$sent m"


async def test_an_edit_of_an_unsent_message_is_refused_without_a_request(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.edit("e", "never", droppable=False, partial=False)
        )
    assert outbox_fixture.sent == []
    (row,) = outbox_fixture.delivered
    assert isinstance(row.event.outcome, Refused)
    assert runtime.database.rows("SELECT status FROM outbox") == [("refused",)]


async def test_a_user_without_access_is_not_invited(runtime: RuntimeFixture):
    anna = UserId("@anna:example.org")
    async with open_outbox(runtime) as outbox_fixture:
        outbox_fixture.refused_users.add(anna)
        space = CreateRoom("space of @anna:example.org", "Lambda", anna, space=True)
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("space", space),
            outbox_fixture.row("again", EnsureInvited(ROOM, anna)),
        )
    assert outbox_fixture.sent == []
    assert [row.event.outcome.kind for row in outbox_fixture.delivered] == ["forbidden"] * 2


async def test_superseded_edits_are_never_sent(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(outbox_fixture.row("m"))
        for number in (1, 2, 3):
            await outbox_fixture.commit_and_enqueue(
                outbox_fixture.edit(f"m.e{number}", "m"), dropped=(TxnId("m"),)
            )
        last = outbox_fixture.edit("m.e4", "m", droppable=False, partial=False)
        await outbox_fixture.commit_and_enqueue(last, dropped=(TxnId("m"),))
    assert outbox_fixture.sent == ["m", "m.e4"]
    assert runtime.database.rows("SELECT count(*) FROM outbox WHERE status = 'waiting'") == [(0,)]


async def test_a_final_edit_is_never_dropped(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        final = outbox_fixture.edit("m.e1", "m", droppable=False, partial=False)
        await outbox_fixture.commit_and_enqueue(outbox_fixture.row("m"), final)
        await outbox_fixture.commit_and_enqueue(dropped=(TxnId("m"),))
    assert outbox_fixture.sent == ["m", "m.e1"]


async def test_edits_are_dropped_only_in_the_lane_of_their_message(
    runtime,
):
    class Untouchable(list):
        def __iter__(self):
            raise AssertionError("another room's lane was looked through")

    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("m"), outbox_fixture.edit("m.e1", "m")
        )
        outbox_fixture.outbox._lanes["!other"] = Untouchable([outbox_fixture.row("n")])
        await outbox_fixture.commit_and_enqueue(dropped=(TxnId("m"),))
        del outbox_fixture.outbox._lanes["!other"]
    assert outbox_fixture.sent == ["m"]


async def test_the_edit_interval_is_measured_from_a_late_first_text(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 10.0
    async with open_outbox(runtime) as outbox_fixture:
        first = outbox_fixture.row("m", SendMessage(ROOM, "m", partial=True))
        await outbox_fixture.commit_and_enqueue(first, outbox_fixture.edit("m.e1", "m"))
        await runtime.clock.advance(10.0)
        runtime.homeserver.delay_s = 0.0
        assert outbox_fixture.sent == ["m"]
        await runtime.clock.advance(EDIT_INTERVAL_S - 0.1)
        assert outbox_fixture.sent == ["m"]
        await runtime.clock.advance(0.2)
        assert outbox_fixture.sent == ["m", "m.e1"]


async def test_the_edit_interval_does_not_count_from_a_message_without_text(
    runtime: RuntimeFixture,
):
    async with open_outbox(runtime) as outbox_fixture:
        line = outbox_fixture.row("m", SendMessage(ROOM, "m", partial=True, quiet=True))
        await outbox_fixture.commit_and_enqueue(line, outbox_fixture.edit("m.e1", "m"))
        await runtime.clock.advance(0.1)
        assert outbox_fixture.sent == ["m", "m.e1"]


async def test_outcomes_are_reported_if_requested_and_refusals_always(
    runtime: RuntimeFixture,
):
    no = Refused("forbidden", "M_FORBIDDEN", "no")
    runtime.homeserver.outcome = lambda order: (
        no if isinstance(order, SendMessage) and order.body == "no" else None
    )
    async with open_outbox(runtime) as outbox_fixture:
        question = SendMessage(ROOM, "no", answers=EventId("$asked"))
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("quiet"),
            outbox_fixture.row("loud", reports=True),
            outbox_fixture.row("refused", question),
        )
    reported = [row.event for row in outbox_fixture.delivered]
    assert reported == [
        OrderDone(TxnId("loud"), Done(EventId("$sent loud"))),
        OrderDone(TxnId("refused"), no, EventId("$asked")),
    ]
    assert outbox_fixture.sent == ["quiet", "loud", "refused"]


async def test_a_whole_reply_is_reported_when_its_lane_is_empty(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        whole = SendMessage(ROOM, "x", answers=EventId("$1"))
        partial = SendMessage(ROOM, "x", answers=EventId("$2"), partial=True)
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("a", whole), outbox_fixture.row("b", partial)
        )
        await settle()
        assert outbox_fixture.replied == []
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("c", replace(whole, answers=EventId("$3")))
        )
        await settle()
        assert outbox_fixture.replied == [(ROOM, "$3")]


async def test_a_refused_reply_is_not_reported_as_sent(runtime: RuntimeFixture):
    runtime.homeserver.outcome = lambda order: Refused("forbidden", "M_FORBIDDEN", "no")
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("a", SendMessage(ROOM, "x", answers=EventId("$1")))
        )
        await settle()
        assert outbox_fixture.sent == ["a"]
        assert outbox_fixture.replied == []


async def test_orders_of_an_earlier_process_are_sent_in_order(runtime: RuntimeFixture):
    outbox_fixture = OutboxFixture(runtime)
    rows = tuple(outbox_fixture.row(f"t{n}") for n in range(3))
    await runtime.journal.save_units_of_work([UnitOfWork(orders=rows)], 1.0)
    async with open_outbox(runtime) as outbox_fixture:
        await settle()
        assert outbox_fixture.sent == ["t0", "t1", "t2"]
    assert not any(call.startswith("find_sent") for call in runtime.homeserver.calls)


async def test_an_old_message_is_searched_in_the_room_before_it_is_sent(runtime: RuntimeFixture):
    outbox_fixture = OutboxFixture(runtime)
    old = replace(outbox_fixture.row("old"), created_at=runtime.clock.now() - TXN_ID_LIFETIME_S - 1)
    await runtime.journal.save_units_of_work([UnitOfWork(orders=(old,))], 1.0)
    async with open_outbox(runtime):
        pass
    assert runtime.homeserver.calls == ["find_sent old"]


async def test_flush_returns_when_every_lane_is_empty(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.outbox.flush()
        await outbox_fixture.commit_and_enqueue(outbox_fixture.row("a"), outbox_fixture.row("b"))
        async with anyio.create_task_group() as group:
            group.start_soon(outbox_fixture.outbox.flush)
            await runtime.clock.advance(1.5)
            assert outbox_fixture.sent == ["a"]
            await runtime.clock.advance(1.0)
        assert outbox_fixture.sent == ["a", "b"]

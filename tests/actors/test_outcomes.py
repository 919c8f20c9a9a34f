"""What came of orders: known to the lane at once, committed together, none lost for another's sake (D1)."""

import anyio
from structlog.testing import capture_logs

from actors import outcomes
from machines.events.orders import Done, Refused, SendMessage
from machines.ids import RoomId, TxnId
from tests.actors.desk import open_desk
from tests.actors.fakes import House
from tests.idle_loop import settle

STATUS = "SELECT txn_id, status FROM outbox ORDER BY txn_id"


async def test_a_lane_goes_on_while_what_came_of_its_orders_is_being_committed(house: House):
    async with open_desk(house) as desk:
        house.homeserver.takes_s = 1.0
        await desk.commit_and_send(desk.row("m"), desk.edit("m.e1", "m"), desk.row("next"))
        await settle()
        house.database.stall()
        await house.clock.passes(5)
        edit = dict(house.homeserver.performed)[TxnId("m.e1")]
        assert isinstance(edit, SendMessage)
        assert edit.edits_event_id == "$sent m"
        assert desk.sent == ["m", "m.e1", "next"]
        assert {status for _, status in house.database.rows(STATUS)} == {"waiting"}
        house.database.go_on()
        await settle()
        assert {status for _, status in house.database.rows(STATUS)} == {"sent"}


async def test_what_comes_while_a_commit_is_under_way_shares_the_next_one(house: House):
    begun: list[str] = []
    house.database.raw.set_trace_callback(
        lambda statement: begun.append(statement) if statement.startswith("BEGIN") else None
    )
    async with open_desk(house) as desk:
        rows = [
            desk.row(f"t{n:02}", SendMessage(RoomId(f"!{n}"), "x"), reports=True) for n in range(20)
        ]
        await desk.commit(*rows)
        begun.clear()
        house.database.stall()
        desk.outbox.send(rows[:1], ())
        await settle()
        desk.outbox.send(rows[1:], ())
        await settle()
        house.database.go_on()
        await settle()
        assert len(begun) == 2
        assert {status for _, status in house.database.rows(STATUS)} == {"sent"}
        told = [row.event.txn_id for row in desk.delivered]
        assert told == sorted(told)
        assert [row.seq for row in desk.delivered] == sorted(row.seq for row in desk.delivered)


async def test_flush_waits_for_the_commit(house: House):
    async with open_desk(house) as desk:
        await desk.commit_and_send(desk.row("a"))
        house.database.stall()
        flushed = anyio.Event()

        async def flush() -> None:
            await desk.outbox.flush()
            flushed.set()

        async with anyio.create_task_group() as group:
            group.start_soon(flush)
            await settle()
            assert desk.sent == ["a"]
            assert not flushed.is_set()
            house.database.go_on()
        assert house.database.rows(STATUS) == [("a", "sent")]


async def test_an_outcome_that_can_not_be_kept_takes_no_other_with_it(house: House):
    house.database.raw.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON inbox WHEN NEW.payload LIKE '%poison%'"
        " BEGIN SELECT RAISE(ABORT, 'injected'); END"
    )
    rooms = ["before", "poison", "after"]
    with capture_logs() as logs:
        async with open_desk(house) as desk:
            await desk.commit_and_send(
                *(
                    desk.row(name, SendMessage(RoomId(f"!{name}"), "x"), reports=True)
                    for name in rooms
                )
            )
            await settle()
            assert house.database.rows(STATUS) == [
                ("after", "sent"),
                ("before", "sent"),
                ("poison", "waiting"),
            ]
            assert [row.event.txn_id for row in desk.delivered] == ["before", "after"]
    assert [line["txn_id"] for line in logs if line["event"] == "outcome_not_kept"] == ["poison"]


async def test_no_event_is_forgotten_before_it_is_committed(house: House, monkeypatch):
    monkeypatch.setattr(outcomes, "MAX_CACHED_EVENT_IDS", 1)
    async with open_desk(house) as desk:
        await desk.commit_and_send(*(desk.row(name) for name in "abc"), desk.edit("a.e1", "a"))
        rows = [*(desk.row(name) for name in "xyz"), desk.edit("x.e1", "x")]
        await house.clock.passes(5)
        await desk.commit(*rows)
        house.database.stall()
        desk.outbox.send(rows, ())
        await house.clock.passes(5)
        house.database.go_on()
    for txn_id in ("a.e1", "x.e1"):
        edit = dict(house.homeserver.performed)[TxnId(txn_id)]
        assert isinstance(edit, SendMessage)
        assert edit.edits_event_id == f"$sent {txn_id[0]}"


async def test_an_event_whose_commit_is_still_to_come_is_known_without_the_database(
    house: House, monkeypatch
):
    monkeypatch.setattr(outcomes, "MAX_CACHED_EVENT_IDS", 1)
    house.homeserver.takes_s = 1.0
    async with open_desk(house) as desk:
        rows, edit = [desk.row(name) for name in "abc"], desk.edit("b.e1", "b")
        await desk.commit(*rows, edit)
        house.database.stall()
        desk.outbox.send(rows, ())
        await house.clock.passes(5)
        # The first commit, of `a`, ends; the next, of `b` and `c`, does not.
        house.database.go_on()
        house.database.stall()
        await settle()
        desk.outbox.send([edit], ())
        await house.clock.passes(5)
        sent, committed = desk.sent[-1], dict(house.database.rows(STATUS))
        house.database.go_on()
    assert (sent, committed["a"], committed["b"]) == ("b.e1", "sent", "waiting")


async def test_outcomes_are_told_in_the_order_in_which_they_came(house: House):
    house.homeserver.takes_s = 1.0
    house.homeserver.outcome = lambda order: (
        Refused("forbidden", "M_FORBIDDEN", "no") if getattr(order, "body", "") == "b" else None
    )
    async with open_desk(house) as desk:
        await desk.commit_and_send(*(desk.row(name, reports=True) for name in "abc"))
    assert [(row.event.txn_id, type(row.event.outcome)) for row in desk.delivered] == [
        ("a", Done),
        ("b", Refused),
        ("c", Done),
    ]

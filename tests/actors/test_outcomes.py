"""Outcomes of orders: known to the lane at once, committed together, none lost because of another (D1)."""

import anyio
from structlog.testing import capture_logs

from actors import outcomes
from machines.events.orders import Done, Refused, SendMessage
from machines.ids import RoomId, TxnId
from tests.actors.fakes import RuntimeFixture
from tests.actors.outbox_fixture import open_outbox
from tests.idle_loop import settle

STATUS = "SELECT txn_id, status FROM outbox ORDER BY txn_id"


async def test_a_lane_continues_while_its_outcomes_are_being_committed(
    runtime: RuntimeFixture,
):
    async with open_outbox(runtime) as outbox_fixture:
        runtime.homeserver.delay_s = 1.0
        await outbox_fixture.commit_and_enqueue(
            outbox_fixture.row("m"), outbox_fixture.edit("m.e1", "m"), outbox_fixture.row("next")
        )
        await settle()
        runtime.database.stall()
        await runtime.clock.advance(5)
        edit = dict(runtime.homeserver.performed)[TxnId("m.e1")]
        assert isinstance(edit, SendMessage)
        assert edit.edits_event_id == "$sent m"
        assert outbox_fixture.sent == ["m", "m.e1", "next"]
        assert {status for _, status in runtime.database.rows(STATUS)} == {"waiting"}
        runtime.database.resume()
        await settle()
        assert {status for _, status in runtime.database.rows(STATUS)} == {"sent"}


async def test_outcomes_that_arrive_during_a_commit_share_the_next_one(runtime: RuntimeFixture):
    begun: list[str] = []
    runtime.database.raw.set_trace_callback(
        lambda statement: begun.append(statement) if statement.startswith("BEGIN") else None
    )
    async with open_outbox(runtime) as outbox_fixture:
        rows = [
            outbox_fixture.row(f"t{n:02}", SendMessage(RoomId(f"!{n}"), "x"), reports=True)
            for n in range(20)
        ]
        await outbox_fixture.commit(*rows)
        begun.clear()
        runtime.database.stall()
        outbox_fixture.outbox.enqueue(rows[:1], ())
        await settle()
        outbox_fixture.outbox.enqueue(rows[1:], ())
        await settle()
        runtime.database.resume()
        await settle()
        assert len(begun) == 2
        assert {status for _, status in runtime.database.rows(STATUS)} == {"sent"}
        reported = [row.event.txn_id for row in outbox_fixture.delivered]
        assert reported == sorted(reported)
        assert [row.seq for row in outbox_fixture.delivered] == sorted(
            row.seq for row in outbox_fixture.delivered
        )


async def test_flush_waits_for_the_commit(runtime: RuntimeFixture):
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(outbox_fixture.row("a"))
        runtime.database.stall()
        flushed = anyio.Event()

        async def flush() -> None:
            await outbox_fixture.outbox.flush()
            flushed.set()

        async with anyio.create_task_group() as group:
            group.start_soon(flush)
            await settle()
            assert outbox_fixture.sent == ["a"]
            assert not flushed.is_set()
            runtime.database.resume()
        assert runtime.database.rows(STATUS) == [("a", "sent")]


async def test_an_outcome_that_can_not_be_saved_affects_no_other(runtime: RuntimeFixture):
    runtime.database.raw.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON inbox WHEN NEW.payload LIKE '%poison%'"
        " BEGIN SELECT RAISE(ABORT, 'injected'); END"
    )
    rooms = ["before", "poison", "after"]
    with capture_logs() as logs:
        async with open_outbox(runtime) as outbox_fixture:
            await outbox_fixture.commit_and_enqueue(
                *(
                    outbox_fixture.row(name, SendMessage(RoomId(f"!{name}"), "x"), reports=True)
                    for name in rooms
                )
            )
            await settle()
            assert runtime.database.rows(STATUS) == [
                ("after", "sent"),
                ("before", "sent"),
                ("poison", "waiting"),
            ]
            assert [row.event.txn_id for row in outbox_fixture.delivered] == ["before", "after"]
    assert [line["txn_id"] for line in logs if line["event"] == "outcome_not_kept"] == ["poison"]


async def test_no_event_id_leaves_the_cache_before_its_commit(runtime: RuntimeFixture, monkeypatch):
    monkeypatch.setattr(outcomes, "MAX_CACHED_EVENT_IDS", 1)
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            *(outbox_fixture.row(name) for name in "abc"), outbox_fixture.edit("a.e1", "a")
        )
        rows = [*(outbox_fixture.row(name) for name in "xyz"), outbox_fixture.edit("x.e1", "x")]
        await runtime.clock.advance(5)
        await outbox_fixture.commit(*rows)
        runtime.database.stall()
        outbox_fixture.outbox.enqueue(rows, ())
        await runtime.clock.advance(5)
        runtime.database.resume()
    for txn_id in ("a.e1", "x.e1"):
        edit = dict(runtime.homeserver.performed)[TxnId(txn_id)]
        assert isinstance(edit, SendMessage)
        assert edit.edits_event_id == f"$sent {txn_id[0]}"


async def test_an_event_id_is_known_before_its_commit(runtime: RuntimeFixture, monkeypatch):
    monkeypatch.setattr(outcomes, "MAX_CACHED_EVENT_IDS", 1)
    runtime.homeserver.delay_s = 1.0
    async with open_outbox(runtime) as outbox_fixture:
        rows, edit = [outbox_fixture.row(name) for name in "abc"], outbox_fixture.edit("b.e1", "b")
        await outbox_fixture.commit(*rows, edit)
        runtime.database.stall()
        outbox_fixture.outbox.enqueue(rows, ())
        await runtime.clock.advance(5)
        # The first commit, of `a`, ends; the next, of `b` and `c`, does not.
        runtime.database.resume()
        runtime.database.stall()
        await settle()
        outbox_fixture.outbox.enqueue([edit], ())
        await runtime.clock.advance(5)
        sent, committed = outbox_fixture.sent[-1], dict(runtime.database.rows(STATUS))
        runtime.database.resume()
    assert (sent, committed["a"], committed["b"]) == ("b.e1", "sent", "waiting")


async def test_outcomes_are_delivered_in_the_order_of_their_arrival(runtime: RuntimeFixture):
    runtime.homeserver.delay_s = 1.0
    runtime.homeserver.outcome = lambda order: (
        Refused("forbidden", "M_FORBIDDEN", "no") if getattr(order, "body", "") == "b" else None
    )
    async with open_outbox(runtime) as outbox_fixture:
        await outbox_fixture.commit_and_enqueue(
            *(outbox_fixture.row(name, reports=True) for name in "abc")
        )
    assert [(row.event.txn_id, type(row.event.outcome)) for row in outbox_fixture.delivered] == [
        ("a", Done),
        ("b", Refused),
        ("c", Done),
    ]

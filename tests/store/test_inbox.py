"""The inbox: priorities, bounds, and dead letters beyond the bound (contract D14)."""

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from machines.events.internal import QueueOverflowed
from machines.events.priority import Priority
from machines.ids import UserId
from store import Journal, inbox
from store.database import open_database
from store.records import UnitOfWork
from tests.store.values import KEY, ROOMS, message, save_events


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> int:
    """Lower the bounds, so that a few messages reach them."""
    monkeypatch.setattr(inbox, "WAITING_HIGH", 4)
    monkeypatch.setattr(inbox, "WAITING_LOW", 2)
    return 4


async def test_the_first_message_beyond_the_bound_is_reported_in_the_same_commit(journal, bound):
    rows = await save_events(journal, [message(n) for n in range(bound + 3)], 1.0)
    assert [row.event for row in rows] == [
        *(message(n) for n in range(bound)),
        QueueOverflowed(bound, message(bound).event_id),
    ]
    assert rows[-1].priority == Priority.EVENT


async def test_a_repeated_message_changes_nothing_while_the_queue_is_full(journal, bound):
    events = [message(n) for n in range(bound)]
    await save_events(journal, events, 1.0)
    assert await save_events(journal, events, 1.0) == ()


async def test_commands_have_a_bound_of_their_own(journal, bound):
    stops = [replace(message(10 + n), body="!stop") for n in range(bound + 2)]
    rows = await save_events(journal, [*(message(n) for n in range(bound + 1)), *stops], 1.0)
    kept = [row.event.body for row in rows if row.priority == Priority.COMMAND]
    assert kept == ["!stop"] * bound


async def test_the_first_rows_of_each_priority_are_loaded(journal: Journal):
    messages = [message(n) for n in range(3 * inbox.READ_AHEAD)]
    stop = replace(message(999), body="!stop")
    await save_events(journal, [*messages, stop], 1.0)
    loaded = (await journal.load_actors([KEY]))[KEY].inbox
    assert [row.event for row in loaded if row.priority == Priority.COMMAND] == [stop]
    assert [row.event for row in loaded if row.priority == Priority.MESSAGE] == messages[
        : inbox.READ_AHEAD
    ]


async def test_messages_of_others_in_a_chat_do_not_count_in_its_queue(journal, bound):
    await journal.save_units_of_work([UnitOfWork(room=ROOMS[1])], 1.0)
    others = [replace(message(n), sender=UserId("@eve:example.org")) for n in range(2 * bound)]
    rows = await save_events(journal, others, 1.0)
    assert {row.priority for row in rows} == {Priority.EVENT}
    assert len(rows) == 2 * bound


async def test_rows_from_before_the_priorities_stay_in_order_except_stop(path: Path):
    raw = sqlite3.connect(path)
    raw.executescript(Path(__file__).with_name("schemas").joinpath("0001.sql").read_text("utf-8"))
    for kind, payload in (
        ("MessageArrived", '{"body": "!Stop "}'),
        ("ChatsAsked", "{}"),
        ("OrderDone", "{}"),
    ):
        raw.execute(
            "INSERT INTO inbox (actor, kind, payload, received_at) VALUES ('!new', ?, ?, 1)",
            (kind, payload),
        )
    raw.commit()
    raw.close()
    database = await open_database(path)
    found = await database.run(
        lambda raw: raw.execute("SELECT actor, priority FROM inbox ORDER BY seq").fetchall()
    )
    await database.close()
    assert [row[1] for row in found if row[0] != "!new"] == [Priority.MESSAGE] * 3
    assert [row[1] for row in found if row[0] == "!new"] == [
        Priority.COMMAND,
        Priority.MESSAGE,
        Priority.EVENT,
    ]

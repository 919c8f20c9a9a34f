"""An edit or a deletion changes the waiting row of its message in the commit that stores it (contract D17)."""

import pytest
from msgspec.structs import replace

from machines.events.matrix import (
    EncryptionEnabled,
    Gap,
    MessageDeleted,
    MessageEdited,
    SyncBatch,
)
from machines.ids import EventId, RoomId, SyncToken, UserId
from store import Journal
from store.records import UnitOfWork
from tests.store.values import ANNA, CHAT, KEY, TURN, message, save_events


def edit(number: int, body: str = "edited", event_id: str = "$e", **changes) -> MessageEdited:
    made = MessageEdited(CHAT, EventId(event_id), ANNA, EventId(f"${number}"), body, 50)
    return replace(made, **changes)


def deletion(number: int, **changes) -> MessageDeleted:
    made = MessageDeleted(CHAT, EventId("$d"), ANNA, EventId(f"${number}"))
    return replace(made, **changes)


async def waiting(journal: Journal) -> list:
    """The events that an actor reads after a restart."""
    return [row.event for row in (await journal.load_actors([KEY]))[KEY].inbox]


def edited(number: int):
    return replace(message(number), body="edited", edited_at_ms=50)


async def test_an_edit_replaces_the_stored_text_and_is_delivered(journal):
    await save_events(journal, [message(1), message(2)], 1.0)
    rows = await save_events(journal, [edit(2)], 2.0)
    assert [row.event for row in rows] == [edit(2)]
    assert await waiting(journal) == [edit(2), message(1), edited(2)]


async def test_a_deletion_finishes_the_row_and_removes_its_text(journal, database):
    await save_events(journal, [message(1), message(2)], 1.0)
    rows = await save_events(journal, [deletion(1)], 2.0)
    assert [row.event for row in rows] == [deletion(1)]
    assert await waiting(journal) == [deletion(1), message(2)]
    query = "SELECT status, payload FROM inbox WHERE event_id = '$1'"
    assert [
        tuple(row) for row in await database.run(lambda raw: raw.execute(query).fetchall())
    ] == [("done", "")]


async def test_a_change_in_the_same_sync_is_delivered_with_its_message(journal):
    rows = await save_events(journal, [message(1), message(2), edit(1), deletion(2)], 1.0)
    assert [row.event for row in rows] == [edited(1), edit(1), deletion(2)]


@pytest.mark.parametrize(
    "change",
    [
        edit(9),
        edit(1, sender=UserId("@bert:example.org")),
        edit(1, room_id=RoomId("!other")),
        deletion(9),
        deletion(1, room_id=RoomId("!other")),
    ],
    ids=["unknown message", "another author", "another room", "unknown", "deleted elsewhere"],
)
async def test_a_change_without_effect_adds_no_row(journal, change):
    await save_events(journal, [message(1)], 1.0)
    assert await save_events(journal, [change], 2.0) == ()
    assert await waiting(journal) == [message(1)]


async def test_an_edit_of_an_edit_changes_nothing(journal):
    await save_events(journal, [message(1), edit(1)], 1.0)
    chained = replace(edit(1, "chained", "$f"), target=EventId("$e"))
    assert await save_events(journal, [chained], 2.0) == ()
    assert edited(1) in await waiting(journal)


async def test_an_older_edit_that_is_read_later_changes_nothing(journal):
    await save_events(journal, [message(1), edit(1)], 1.0)
    older = edit(1, "older", "$f", sent_at_ms=49)
    assert await save_events(journal, [older], 2.0) == ()


async def test_a_repeated_sync_changes_nothing(journal):
    batch = [message(1), edit(1), message(2), deletion(2)]
    await save_events(journal, batch, 1.0)
    before = await waiting(journal)
    assert await save_events(journal, batch, 2.0) == ()
    assert await waiting(journal) == before


async def test_of_a_finished_message_only_the_deletion_of_the_current_turn_counts(journal):
    (row, _) = await save_events(journal, [message(1), message(2)], 1.0)
    turn = replace(TURN, turn_id=EventId("$1"))
    await journal.save_units_of_work([UnitOfWork(turn=turn, acked=(row.seq,))], 2.0)
    assert await save_events(journal, [edit(1)], 3.0) == ()
    assert [row.event for row in await save_events(journal, [deletion(1)], 3.0)] == [deletion(1)]
    await journal.save_units_of_work([UnitOfWork(turn_ended=CHAT)], 4.0)
    late = deletion(1, event_id=EventId("$late"))
    assert await save_events(journal, [late], 5.0) == ()


async def test_only_messages_are_deleted(journal):
    await save_events(journal, [EncryptionEnabled(CHAT, EventId("$1"))], 1.0)
    assert await save_events(journal, [deletion(1)], 2.0) == ()
    assert await waiting(journal) == [EncryptionEnabled(CHAT, EventId("$1"))]


async def test_changes_are_read_from_the_history_of_a_gap_in_their_order(journal):
    gap = Gap(CHAT, SyncToken("s0"), SyncToken("p"))
    await journal.save_sync_batch(SyncBatch(SyncToken("s1"), (), gaps=(gap,)), 1.0)
    for number, change in enumerate((edit(1), deletion(2)), 2):
        batch = SyncBatch(SyncToken(f"s{number}"), (change,))
        assert await journal.save_sync_batch(batch, 1.0) == ()
        stored = await journal.gap_of(CHAT)
        assert stored.before == batch.token
    history = [message(1), message(2), edit(1), deletion(2)]
    rows = await journal.save_history(stored, history, 2.0)
    assert [row.event for row in rows] == [edited(1), edit(1), deletion(2)]


async def test_a_deletion_of_the_current_turn_does_not_wait_for_the_history(journal):
    await journal.save_units_of_work([UnitOfWork(turn=TURN)], 1.0)
    gap = Gap(CHAT, SyncToken("s0"), SyncToken("p"))
    event = replace(deletion(1), target=TURN.turn_id)
    rows = await journal.save_sync_batch(SyncBatch(SyncToken("s1"), (event,), gaps=(gap,)), 1.0)
    assert [row.event for row in rows] == [event]

"""Gaps: parts of a room's timeline that a sync left out and that are not read from history yet (contract D4).

A gap is a row: the sync token moves on, and no other room waits until the history is read. Until then the room's newer
messages are left to the history too, because they come after it: a gap only grows at its end.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3

from msgspec.structs import asdict, replace

from machines.commands import parse
from machines.commands.stop import Stop
from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    EncryptedArrived,
    FileArrived,
    Gap,
    MalformedArrived,
    MatrixEvent,
    MemberChanged,
    MessageArrived,
    QuestionShown,
    SyncBatch,
)
from machines.ids import RoomId, SyncToken
from store.queries import SQL

_READ_FROM_HISTORY = (
    MessageArrived,
    FileArrived,
    MalformedArrived,
    EncryptedArrived,
    MemberChanged,
    QuestionShown,
)
_END_OF_GAP = (BotRemoved, BotReturned)
"""Messages from before the bot left or came back are not answered (contract D5)."""


def keep_gaps(raw: sqlite3.Connection, batch: SyncBatch) -> tuple[MatrixEvent, ...]:
    """Store the gaps of a batch, up to its end; returns the events that need not wait for a history."""
    stored = {RoomId(row["room_id"]) for row in raw.execute(SQL["gaps"])}
    if not (stored or batch.gaps):
        return batch.events
    for fact in batch.events:
        if isinstance(fact, _END_OF_GAP) and fact.room_id in stored:
            raw.execute(SQL["drop_gap"], {"room_id": fact.room_id})
            stored.remove(fact.room_id)
    held = stored | {gap.room_id for gap in batch.gaps}
    now: list[MatrixEvent] = []
    later = {gap.room_id: gap for gap in batch.gaps}
    for fact in batch.events:
        in_order = isinstance(fact, _READ_FROM_HISTORY) and not _stops_a_turn(raw, fact)
        if fact.room_id in held and in_order:
            later.setdefault(fact.room_id, Gap(fact.room_id, batch.token, batch.token))
        else:
            now.append(fact)
    for gap in later.values():
        raw.execute(SQL["put_gap"], asdict(replace(gap, before=batch.token)))
    return tuple(now)


def _stops_a_turn(raw: sqlite3.Connection, fact: MatrixEvent) -> bool:
    """Whether this is a `!stop` for a turn in hand: the messages of the history come after that turn (K9)."""
    if not isinstance(fact, MessageArrived) or not isinstance(parse(fact.body), Stop):
        return False
    return raw.execute(SQL["turn"], {"room_id": fact.room_id}).fetchone() is not None


def gaps(raw: sqlite3.Connection) -> tuple[Gap, ...]:
    """Return the gaps that are open."""
    return tuple(_gap(row) for row in raw.execute(SQL["gaps"]))


def gap_of(raw: sqlite3.Connection, room_id: RoomId) -> Gap | None:
    """Return the open gap of a room."""
    row = raw.execute(SQL["gap"], {"room_id": room_id}).fetchone()
    return None if row is None else _gap(row)


def close_gap(raw: sqlite3.Connection, gap: Gap) -> Gap | None:
    """Close a gap that was read; returns the rest of it, if it grew meanwhile.

    In the rest `was_in` is true: the bot was in the room where it begins, or the gap would have been dropped.
    """
    key = {"room_id": gap.room_id, "since": gap.since, "before": gap.before}
    raw.execute(SQL["close_gap"], key)
    raw.execute(SQL["shorten_gap"], key)
    return gap_of(raw, gap.room_id)


def is_open(raw: sqlite3.Connection, gap: Gap) -> bool:
    """Whether this gap is still open; the room may have another one since the bot left it and came back."""
    current = gap_of(raw, gap.room_id)
    return current is not None and current.since == gap.since


def _gap(row: sqlite3.Row) -> Gap:
    since, before = SyncToken(row["since"]), SyncToken(row["before"])
    return Gap(RoomId(row["room_id"]), since, before, bool(row["was_in"]))

"""Gaps: parts of a room's timeline that a sync omitted and that are not read from history yet (contract D4).

A gap is a row, so the sync token moves on and no other room waits. Until the history is read, newer messages of the
room are read from history too, so that messages stay in order: the gap grows at its end.

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
    LastMessageShown,
    MalformedArrived,
    MatrixEvent,
    MemberChanged,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    QuestionShown,
    SyncBatch,
    UnsupportedArrived,
)
from machines.ids import RoomId, SyncToken
from store.queries import SQL

_READ_FROM_HISTORY = (
    MessageArrived,
    FileArrived,
    UnsupportedArrived,
    MalformedArrived,
    MessageEdited,
    MessageDeleted,
    EncryptedArrived,
    MemberChanged,
    QuestionShown,
    LastMessageShown,
)
_END_OF_GAP = (BotRemoved, BotReturned)
"""Messages from before the bot left or came back are not answered (contract D5)."""


def save_gaps(raw: sqlite3.Connection, batch: SyncBatch) -> tuple[MatrixEvent, ...]:
    """Save the gaps of a batch, extended to its token; returns the events that need not wait for the history."""
    stored = {RoomId(row["room_id"]) for row in raw.execute(SQL["gaps"])}
    events = (*batch.events, *batch.last_shown)
    if not (stored or batch.gaps):
        return events
    for event in batch.events:
        if isinstance(event, _END_OF_GAP) and event.room_id in stored:
            raw.execute(SQL["drop_gap"], {"room_id": event.room_id})
            stored.remove(event.room_id)
    with_gap = stored | {gap.room_id for gap in batch.gaps}
    immediate: list[MatrixEvent] = []
    extended = {gap.room_id: gap for gap in batch.gaps}
    for event in events:
        in_order = isinstance(event, _READ_FROM_HISTORY) and not _stops_a_turn(raw, event)
        if event.room_id in with_gap and in_order:
            extended.setdefault(event.room_id, Gap(event.room_id, batch.token, batch.token))
        else:
            immediate.append(event)
    for gap in extended.values():
        raw.execute(SQL["put_gap"], asdict(replace(gap, before=batch.token)))
    return tuple(immediate)


def _stops_a_turn(raw: sqlite3.Connection, event: MatrixEvent) -> bool:
    """Whether this ends the current turn, which began before the messages of the gap (contracts K9, D17)."""
    if isinstance(event, MessageDeleted):
        key = {"turn_id": event.target, "room_id": event.room_id}
        return raw.execute(SQL["is_turn"], key).fetchone() is not None
    if not isinstance(event, MessageArrived) or not isinstance(parse(event.body), Stop):
        return False
    return raw.execute(SQL["turn"], {"room_id": event.room_id}).fetchone() is not None


def gaps(raw: sqlite3.Connection) -> tuple[Gap, ...]:
    """Return the gaps that are open."""
    return tuple(_gap(row) for row in raw.execute(SQL["gaps"]))


def gap_of(raw: sqlite3.Connection, room_id: RoomId) -> Gap | None:
    """Return the open gap of a room."""
    row = raw.execute(SQL["gap"], {"room_id": room_id}).fetchone()
    return None if row is None else _gap(row)


def close_gap(raw: sqlite3.Connection, gap: Gap) -> Gap | None:
    """Close a gap that was read; returns the rest of it, if it grew meanwhile.

    In the rest `was_in` is true: if the bot had left the room meanwhile, the gap would have been dropped.
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

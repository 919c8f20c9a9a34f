"""Snapshots for `inspect-room`: everything that is stored of one room, of all rooms, and of the bot itself.

The functions only read, on a connection that `readonly` opens.
"""

import json
import sqlite3
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from machines.ids import EventId, RoomId, UserId
from machines.room.binding import RoomType
from machines.room.state import Room
from machines.turn.state import Turn
from store import loading, rows
from store.errors import DatabaseUnusable
from store.queries import SQL
from store.records import BotRow, FailedTurn, TransitionRecord


class Failure(Struct, frozen=True):
    """A failure that stopped nothing else (contract D9): an event, order or decoding error; `kind` names it."""

    fate: Literal["set_aside", "refused", "quarantined"]
    kind: str
    event_id: EventId | None
    reason: str
    at: float


class RoomLabel(Struct, frozen=True):
    """By what an operator knows a room; `room_type` and `owner` are `None` without a binding."""

    room_id: RoomId
    room_type: RoomType | None
    chat_id: str | None
    name: str
    owner: UserId | None


class RoomSnapshot(Struct, frozen=True):
    """All that is stored of one room.

    `failures`, `transitions` and `failed_turns` are the last ones, newest last; `reply_events` are the events of the
    current reply; `report` is that of the newest transition that has one.
    """

    room: Room
    turn: Turn | None
    reply_events: tuple[EventId, ...]
    inbox_pending: int
    outbox_pending: int
    failures: tuple[Failure, ...]
    failures_total: int
    transitions: tuple[TransitionRecord, ...]
    failed_turns: tuple[FailedTurn, ...]
    report: Any


class BotSnapshot(Struct, frozen=True):
    """The bot's own row, with totals; `failures` are the failures that belong to no room."""

    bot: BotRow
    rooms: int
    users: int
    inbox_pending: int
    outbox_pending: int
    turns: int
    failures: tuple[Failure, ...]
    failures_total: int
    transitions: tuple[TransitionRecord, ...]


def room_snapshot(raw: sqlite3.Connection, room_id: RoomId, last: int) -> RoomSnapshot | None:
    """Return what is stored of a room, with its `last` transitions and failures; `None` if nothing is stored."""
    if room_id not in seen_rooms(raw):
        return None
    return _room_snapshot(raw, room_id, last, _failures(raw, room_id).get(room_id, []))


def room_snapshots(raw: sqlite3.Connection, last: int) -> tuple[RoomSnapshot, ...]:
    """Return all rooms, in the order of their ids."""
    failures = _failures(raw, None)
    return tuple(
        _room_snapshot(raw, room_id, last, failures.get(room_id, [])) for room_id in seen_rooms(raw)
    )


def seen_rooms(raw: sqlite3.Connection) -> tuple[RoomId, ...]:
    """Return the ids of all rooms that have a row, or inbox rows that wait or are dead letters."""
    return tuple(RoomId(row[0]) for row in raw.execute(SQL["seen_rooms"]))


def room_labels(raw: sqlite3.Connection) -> tuple[RoomLabel, ...]:
    """Return the labels of all rooms, in the order of their ids."""
    return tuple(RoomLabel(**row) for row in raw.execute(SQL["room_labels"]))


def bot_snapshot(raw: sqlite3.Connection, last: int) -> BotSnapshot:
    """Return the bot's own state with its `last` transitions."""
    totals = raw.execute(SQL["totals"]).fetchone()
    elsewhere = [
        item
        for origin, items in _failures(raw, None).items()
        for item in items
        if not origin.startswith("!")
    ]
    return BotSnapshot(
        bot=loading.bot(raw),
        **dict(totals),
        failures=tuple(elsewhere[-last:]),
        failures_total=len(elsewhere),
        transitions=_transitions(raw, "bot", last),
    )


def _room_snapshot(
    raw: sqlite3.Connection, room_id: RoomId, last: int, failures: list[Failure]
) -> RoomSnapshot:
    key = {"room_id": room_id}
    row = raw.execute(SQL["room"], key).fetchone()
    room = rows.room_of(row) if row is not None else _room_without_row(raw, room_id)
    turn = rows.turn_of(raw, room_id)
    parts = turn.reply.parts if turn is not None else ()
    sent = (raw.execute(SQL["sent_event"], {"txn_id": part.txn_id}).fetchone() for part in parts)
    report = raw.execute(SQL["last_report"], {"subject": room_id}).fetchone()
    return RoomSnapshot(
        room=room,
        turn=turn,
        reply_events=tuple(EventId(row["event_id"]) for row in sent if row and row["event_id"]),
        inbox_pending=raw.execute(SQL["count_waiting_inbox"], key).fetchone()[0],
        outbox_pending=raw.execute(SQL["count_waiting_outbox"], key).fetchone()[0],
        failures=tuple(failures[-last:]),
        failures_total=len(failures),
        transitions=_transitions(raw, room_id, last),
        failed_turns=tuple(FailedTurn(**row) for row in raw.execute(SQL["failed_turns"], key)),
        report=_report(report["report"]) if report is not None else None,
    )


def _room_without_row(raw: sqlite3.Connection, room_id: RoomId) -> Room:
    """Return a room that has inbox rows but no row of its own yet."""
    (at,) = raw.execute(SQL["first_received"], {"room_id": room_id}).fetchone()
    return replace(Room(room_id), since=at or 0.0)


def _transitions(raw: sqlite3.Connection, subject: str, last: int) -> tuple[TransitionRecord, ...]:
    found = raw.execute(SQL["last_transitions"], {"subject": subject, "last": last}).fetchall()
    return tuple(
        TransitionRecord(**{**dict(row), "report": _report(row["report"])})
        for row in reversed(found)
    )


def _failures(raw: sqlite3.Connection, origin: str | None) -> dict[str, list[Failure]]:
    """Return the failures by room (or user, or `""` for neither), oldest first."""
    found: dict[str, list[Failure]] = {}
    for row in raw.execute(SQL["failures"], {"origin": origin}):
        event_id = EventId(row["event_id"]) if row["event_id"] else None
        item = Failure(row["fate"], row["kind"], event_id, row["reason"], row["at"])
        found.setdefault(row["origin"], []).append(item)
    return found


def _report(text: str | None) -> Any:
    try:
        return json.loads(text) if text is not None else None
    except ValueError as error:
        raise DatabaseUnusable("a stored report can't be read") from error

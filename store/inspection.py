"""What `inspect-room` sees: everything that is stored of one room, of all, and of the bot itself.

Plain reads of one connection (`readonly` opens it); nothing here decides or words anything.
"""

import json
import sqlite3
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from machines.ids import EventId, RoomId
from machines.room import Room
from machines.turn_state import Turn
from store import rows, writing
from store.errors import DatabaseUnusable
from store.queries import SQL
from store.records import BotRow, Transition


class GivenUp(Struct, frozen=True):
    """Something that was not dealt with and stopped nothing (contract D9); `kind` is what it was."""

    fate: Literal["set_aside", "refused", "quarantined"]
    kind: str
    event_id: EventId | None
    reason: str
    at: float


class RoomSight(Struct, frozen=True):
    """All that is stored of one room.

    `given_up` and `transitions` are the last ones, newest last; `reply_events` is what the turn in hand has
    sent; `report` is that of the newest transition that has one.
    """

    room: Room
    turn: Turn | None
    reply_events: tuple[EventId, ...]
    inbox_pending: int
    outbox_pending: int
    given_up: tuple[GivenUp, ...]
    given_up_total: int
    transitions: tuple[Transition, ...]
    report: Any


class BotSight(Struct, frozen=True):
    """The bot's own row, with totals; `given_up` is what belongs to no room."""

    bot: BotRow
    rooms: int
    users: int
    inbox_pending: int
    outbox_pending: int
    turns: int
    given_up: tuple[GivenUp, ...]
    given_up_total: int
    transitions: tuple[Transition, ...]


def look_at_room(raw: sqlite3.Connection, room_id: RoomId, last: int) -> RoomSight | None:
    """Return what is stored of a room with its `last` transitions, `None` when nothing is."""
    if room_id not in seen_rooms(raw):
        return None
    return _room_sight(raw, room_id, last, _given_up(raw, room_id).get(room_id, []))


def look_at_rooms(raw: sqlite3.Connection, last: int) -> tuple[RoomSight, ...]:
    """Return all rooms, in the order of their ids."""
    given_up = _given_up(raw, None)
    return tuple(
        _room_sight(raw, room_id, last, given_up.get(room_id, [])) for room_id in seen_rooms(raw)
    )


def seen_rooms(raw: sqlite3.Connection) -> tuple[RoomId, ...]:
    """Return the ids of all rooms that have a row, or something waiting to be looked at."""
    return tuple(RoomId(row[0]) for row in raw.execute(SQL["seen_rooms"]))


def look_at_bot(raw: sqlite3.Connection, last: int) -> BotSight:
    """Return the bot's own state with its `last` transitions."""
    totals = raw.execute(SQL["totals"]).fetchone()
    elsewhere = [
        item
        for place, items in _given_up(raw, None).items()
        for item in items
        if not place.startswith("!")
    ]
    return BotSight(
        bot=writing.bot(raw),
        rooms=totals["rooms"],
        users=totals["users"],
        inbox_pending=totals["inbox_pending"],
        outbox_pending=totals["outbox_pending"],
        turns=totals["turns"],
        given_up=tuple(elsewhere[-last:]),
        given_up_total=len(elsewhere),
        transitions=_transitions(raw, "bot", last),
    )


# -- reading ---------------------------------------------------------------------------------------


def _room_sight(
    raw: sqlite3.Connection, room_id: RoomId, last: int, given_up: list[GivenUp]
) -> RoomSight:
    key = {"room_id": room_id}
    row = raw.execute(SQL["room"], key).fetchone()
    room = rows.room_of(row) if row is not None else _unvisited(raw, room_id)
    turn = rows.turn_of(raw, room_id)
    parts = turn.reply.parts if turn is not None else ()
    sent = (raw.execute(SQL["sent_event"], {"txn_id": part.txn_id}).fetchone() for part in parts)
    report = raw.execute(SQL["last_report"], {"subject": room_id}).fetchone()
    return RoomSight(
        room=room,
        turn=turn,
        reply_events=tuple(EventId(row["event_id"]) for row in sent if row and row["event_id"]),
        inbox_pending=raw.execute(SQL["count_waiting_inbox"], key).fetchone()[0],
        outbox_pending=raw.execute(SQL["count_waiting_outbox"], key).fetchone()[0],
        given_up=tuple(given_up[-last:]),
        given_up_total=len(given_up),
        transitions=_transitions(raw, room_id, last),
        report=_json(report["report"]) if report is not None else None,
    )


def _unvisited(raw: sqlite3.Connection, room_id: RoomId) -> Room:
    """Something came from this room, and nobody has looked at it yet."""
    (at,) = raw.execute(SQL["first_received"], {"room_id": room_id}).fetchone()
    return replace(Room(room_id), since=at or 0.0)


def _transitions(raw: sqlite3.Connection, subject: str, last: int) -> tuple[Transition, ...]:
    found = raw.execute(SQL["last_transitions"], {"subject": subject, "last": last}).fetchall()
    return tuple(
        Transition(
            subject=row["subject"],
            at=row["at"],
            event=row["event"],
            source=row["source"],
            target=row["target"],
            reason=row["reason"],
            report=_json(row["report"]) if row["report"] is not None else None,
        )
        for row in reversed(found)
    )


def _given_up(raw: sqlite3.Connection, place: str | None) -> dict[str, list[GivenUp]]:
    """Return what was given up, by room (or user, or `""` for neither), oldest first."""
    found: dict[str, list[GivenUp]] = {}
    for row in raw.execute(SQL["given_up"], {"place": place}):
        event_id = EventId(row["event_id"]) if row["event_id"] else None
        item = GivenUp(row["fate"], row["kind"], event_id, row["reason"], row["at"])
        found.setdefault(row["place"], []).append(item)
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DatabaseUnusable("a stored report can't be read") from error

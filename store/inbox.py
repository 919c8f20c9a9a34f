"""The inbox: what is put into it, and what waits there, by priority.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from machines.facts import Quarantined
from machines.ids import ActorKey, EventId, UserId
from machines.priority import Priority, priority_of
from store.codec import dump, load
from store.errors import UnitRefused
from store.queries import SQL
from store.records import InboxRow

READ_AHEAD = 64
"""How many waiting inbox rows are read for one actor at a time; the rest stays in the database."""


def put_facts(raw: sqlite3.Connection, facts: Iterable[Any], at: float) -> tuple[InboxRow, ...]:
    """Put facts into the inboxes of their rooms; returns the rows that are new.

    One that can't be kept is quarantined: it must not hold up the token and all that came with it.
    """
    rows: list[InboxRow] = []
    for fact in facts:
        event_id = getattr(fact, "event_id", None)
        try:
            rows += _put_inbox(raw, ActorKey(fact.room_id), fact, event_id, at)
        except (UnitRefused, UnicodeEncodeError) as error:
            reason = f"{type(fact).__name__} can't be kept: {type(error).__name__}"
            put_quarantined(raw, Quarantined("sync", None, None, reason), at)
    return tuple(rows)


def tell(
    raw: sqlite3.Connection, told: Iterable[tuple[ActorKey, object]], at: float
) -> tuple[InboxRow, ...]:
    """Put events that come from within into inboxes."""
    return tuple(row for actor, event in told for row in _put_inbox(raw, actor, event, None, at))


def _put_inbox(
    raw: sqlite3.Connection, actor: ActorKey, event: object, event_id: EventId | None, at: float
) -> tuple[InboxRow, ...]:
    priority = priority_of(event, _owner(raw, actor, event_id))
    cursor = raw.execute(
        SQL["put_inbox"],
        {
            "actor": actor,
            "kind": type(event).__name__,
            "event_id": event_id,
            "payload": dump(event),
            "priority": priority,
            "received_at": at,
        },
    )
    if not cursor.rowcount or cursor.lastrowid is None:
        return ()
    return (InboxRow(cursor.lastrowid, actor, event, priority, at),)


def _owner(raw: sqlite3.Connection, actor: ActorKey, event_id: EventId | None) -> UserId | None:
    """Return whose chat an event of the homeserver is from, where that is known."""
    if event_id is None:
        return None
    row = raw.execute(SQL["chat_owner"], {"room_id": actor}).fetchone()
    return UserId(row[0]) if row is not None and row[0] is not None else None


def put_quarantined(raw: sqlite3.Connection, item: Quarantined, at: float) -> None:
    """Store what could not be decoded or kept, with its reason."""
    raw.execute(
        SQL["put_quarantine"],
        {
            "source": item.source,
            "room_id": item.room_id,
            "event_id": item.event_id,
            "reason": item.reason,
            "at": at,
        },
    )


def first_waiting(raw: sqlite3.Connection, actor: ActorKey) -> tuple[InboxRow, ...]:
    """Return the first waiting rows of an actor: of each priority at most `READ_AHEAD`, in order."""
    cursor = raw.execute(SQL["first_waiting"], {"actor": actor, "limit": READ_AHEAD})
    rows = tuple(_inbox_row(actor, row) for row in cursor)
    if len(rows) < READ_AHEAD:
        return rows
    return tuple(row for priority in Priority for row in waiting(raw, actor, priority, 0))


def waiting(
    raw: sqlite3.Connection, actor: ActorKey, priority: Priority, after: int
) -> tuple[InboxRow, ...]:
    """Return the next waiting rows of one priority behind the row `after`, at most `READ_AHEAD`."""
    behind = {"actor": actor, "priority": priority, "after": after, "limit": READ_AHEAD}
    return tuple(_inbox_row(actor, row) for row in raw.execute(SQL["waiting_inbox"], behind))


def _inbox_row(actor: ActorKey, row: sqlite3.Row) -> InboxRow:
    event = load(row["kind"], row["payload"])
    return InboxRow(row["seq"], actor, event, Priority(row["priority"]), row["received_at"])

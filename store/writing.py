"""What a transaction writes: a sync response, the work of actors, the outcomes of orders.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import json
import sqlite3
from collections.abc import Iterable

from msgspec.structs import asdict

from machines.events.matrix import SyncBatch
from machines.events.orders import SendMessage
from machines.events.tags import tag_of
from machines.room.state import Room
from store import quarantine
from store.codec import dump
from store.gaps import keep_gaps
from store.inbox import put_facts, tell
from store.queries import SQL
from store.records import FinishedOrder, InboxRow, OutboxRow, TransitionRecord, UnitOfWork
from store.rows import put_room, put_turn, put_user

_PRUNES = ("prune_inbox", "prune_outbox", "prune_quarantine", "prune_transitions")


def save_sync_batch(raw: sqlite3.Connection, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
    """Store a decoded sync response and its token; returns the inbox rows that are new."""
    rows = put_facts(raw, keep_gaps(raw, batch), at)
    quarantine.keep(raw, batch.quarantined, at)
    raw.execute(SQL["set_sync_token"], {"token": batch.token})
    return rows


def keep_work(raw: sqlite3.Connection, writes: UnitOfWork, at: float) -> tuple[InboxRow, ...]:
    """Store the unit of work of one actor; returns the inbox rows that are new in other actors' inboxes."""
    _put_state(raw, writes)
    for seq in writes.finished:
        raw.execute(SQL["finish_inbox"], {"seq": seq})
    for seq, reason in writes.set_aside:
        raw.execute(SQL["set_inbox_aside"], {"seq": seq, "reason": reason})
    for txn_id in writes.dropped_edits:
        raw.execute(SQL["drop_edits"], {"edits": txn_id})
    for order in writes.orders:
        _put_order(raw, order)
    for transition in writes.transitions:
        put_transition(raw, transition)
    for user_id, preferences in writes.preferences:
        payload = dump(preferences)
        raw.execute(SQL["put_preferences"], {"user_id": user_id, "payload": payload})
    if writes.platform_chat_seq is not None:
        raw.execute(SQL["raise_platform_chat_seq"], {"seq": writes.platform_chat_seq})
    return tell(raw, writes.deliveries, at)


def finish_orders(
    raw: sqlite3.Connection, finished: Iterable[FinishedOrder], at: float
) -> tuple[InboxRow, ...]:
    """Mark orders as sent or refused; returns the inbox rows that report this to their actors."""
    orders = tuple(finished)
    raw.executemany(
        SQL["finish_outbox"],
        (
            {
                "txn_id": each.row.txn_id,
                "status": "sent" if each.refusal is None else "refused",
                "event_id": each.event_id,
                "reason": each.refusal or "",
            }
            for each in orders
        ),
    )
    told = ((each.row.actor, each.report) for each in orders if each.report is not None)
    return tell(raw, told, at)


def put_transition(raw: sqlite3.Connection, transition: TransitionRecord) -> None:
    """Store one transition of the bot or of a room (contract R2)."""
    report = json.dumps(dict(transition.report)) if transition.report is not None else None
    raw.execute(SQL["put_transition"], {**asdict(transition), "report": report})


def prune(raw: sqlite3.Connection, before: float) -> None:
    """Delete rows that are done and logs, where they are older than `before` (seconds since the epoch)."""
    for statement in _PRUNES:
        raw.execute(SQL[statement], {"before": before})


def _put_state(raw: sqlite3.Connection, writes: UnitOfWork) -> None:
    if writes.room is not None:
        if any(each.target == "bound" for each in writes.transitions):
            _release_context(raw, writes.room)
        put_room(raw, writes.room)
    if writes.turn is not None:
        put_turn(raw, writes.turn.reply.room_id, writes.turn)
    if writes.turn_ended is not None:
        raw.execute(SQL["end_turn"], {"room_id": writes.turn_ended})
    if writes.user is not None:
        put_user(raw, writes.user)


def _release_context(raw: sqlite3.Connection, room: Room) -> None:
    """Remove a room's context id from any other row: what the homeserver confirms wins over a damaged table."""
    if room.binding is not None and room.binding.platform_chat_id is not None:
        raw.execute(
            SQL["release_context"],
            {"room_id": room.room_id, "platform_chat_id": room.binding.platform_chat_id},
        )


def _put_order(raw: sqlite3.Connection, row: OutboxRow) -> None:
    order = row.order
    values = {
        "kind": tag_of(order),
        "payload": dump(order),
        "edits": order.edits if isinstance(order, SendMessage) and order.droppable else None,
    }
    raw.execute(SQL["put_outbox"], {**asdict(row), **values})

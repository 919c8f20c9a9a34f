"""Writes of a transaction: a sync response, the units of work of actors, the outcomes of orders.

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
from store.gaps import save_gaps
from store.inbox import put_internal_events, put_matrix_events
from store.queries import SQL
from store.records import FinishedOrder, InboxRow, OutboxRow, TransitionRecord, UnitOfWork
from store.rows import put_room, put_turn, put_user

FAILED_TURNS_KEPT = 10
"""How many failed turns of a room are stored (contract I6)."""
_PRUNES = (
    "prune_inbox",
    "prune_outbox",
    "prune_quarantine",
    "prune_transitions",
    "prune_failed_turns",
)


def save_sync_batch(raw: sqlite3.Connection, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
    """Save a decoded sync response and its token; returns the new inbox rows."""
    rows = put_matrix_events(raw, save_gaps(raw, batch), at)
    quarantine.add(raw, batch.quarantined, at)
    raw.execute(SQL["set_sync_token"], {"token": batch.token})
    return rows


def save_unit_of_work(raw: sqlite3.Connection, work: UnitOfWork, at: float) -> tuple[InboxRow, ...]:
    """Save the unit of work of one actor; returns the new rows in the inboxes of other actors."""
    _put_state(raw, work)
    for seq in work.acked:
        raw.execute(SQL["ack_inbox"], {"seq": seq})
    for seq, reason in work.dead_letters:
        raw.execute(SQL["dead_letter_inbox"], {"seq": seq, "reason": reason})
    for txn_id in work.dropped_edits:
        raw.execute(SQL["drop_edits"], {"edits": txn_id})
    for order in work.orders:
        _put_order(raw, order)
    for transition in work.transitions:
        put_transition(raw, transition)
    for failed in work.failed_turns:
        raw.execute(SQL["put_failed_turn"], asdict(failed))
        raw.execute(
            SQL["trim_failed_turns"], {"room_id": failed.room_id, "kept": FAILED_TURNS_KEPT}
        )
    for user_id, preferences in work.preferences:
        payload = dump(preferences)
        raw.execute(SQL["put_preferences"], {"user_id": user_id, "payload": payload})
    if work.platform_chat_seq is not None:
        raw.execute(SQL["raise_platform_chat_seq"], {"seq": work.platform_chat_seq})
    return put_internal_events(raw, work.deliveries, at)


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
    reports = ((each.row.actor, each.report) for each in orders if each.report is not None)
    return put_internal_events(raw, reports, at)


def put_transition(raw: sqlite3.Connection, transition: TransitionRecord) -> None:
    """Store one transition of the bot or of a room (contract R2)."""
    report = json.dumps(dict(transition.report)) if transition.report is not None else None
    raw.execute(SQL["put_transition"], {**asdict(transition), "report": report})


def prune(raw: sqlite3.Connection, before: float) -> None:
    """Delete finished rows and logs older than `before` (seconds since the epoch)."""
    for statement in _PRUNES:
        raw.execute(SQL[statement], {"before": before})


def _put_state(raw: sqlite3.Connection, work: UnitOfWork) -> None:
    if work.room is not None:
        if any(each.target == "bound" for each in work.transitions):
            _release_context(raw, work.room)
        put_room(raw, work.room)
    if work.turn is not None:
        put_turn(raw, work.turn)
    if work.turn_ended is not None:
        raw.execute(SQL["end_turn"], {"room_id": work.turn_ended})
    if work.user is not None:
        put_user(raw, work.user)


def _release_context(raw: sqlite3.Connection, room: Room) -> None:
    """Remove a room's context id from any other row: the binding on the homeserver wins over a damaged table."""
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

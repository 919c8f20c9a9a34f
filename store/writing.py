"""What is done on the connection: each function runs on its thread, inside the caller's transaction."""

import json
import sqlite3
from collections.abc import Collection, Iterable

from machines.binding import read_claim
from machines.facts import SyncBatch
from machines.ids import (
    ActorKey,
    DeviceId,
    RoomId,
    SyncToken,
    UserId,
)
from machines.lifecycle import Life
from machines.plan import Stored
from machines.preferences import Preferences
from machines.room import Room
from machines.tags import tag_of
from machines.topology import Topology
from store import quarantine
from store.codec import dump, read
from store.gaps import keep_gaps
from store.inbox import first_waiting, put_facts, tell
from store.queries import SQL
from store.records import (
    BotRow,
    FinishedOrder,
    InboxRow,
    OutboxRow,
    RoomRows,
    Transition,
    UserRows,
    Writes,
)
from store.rows import chats_of, put_room, put_turn, put_user, room_of, turn_of, user_of

PRUNES = (
    "prune_inbox",
    "prune_outbox",
    "prune_quarantine",
    "prune_transitions",
)
"""The statements that forget what is old."""


def keep_batch(raw: sqlite3.Connection, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
    """Store a decoded sync response and its token; returns the inbox rows that are new."""
    rows = put_facts(raw, keep_gaps(raw, batch), at)
    quarantine.keep(raw, batch.quarantined, at)
    raw.execute(SQL["set_sync_token"], {"token": batch.token})
    return rows


def keep_visit(raw: sqlite3.Connection, writes: Writes, at: float) -> tuple[InboxRow, ...]:
    """Store what one visit to one actor leaves behind; returns the rows told to other actors."""
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
    return tell(raw, writes.told, at)


def finish_orders(
    raw: sqlite3.Connection, finished: Iterable[FinishedOrder], at: float
) -> tuple[InboxRow, ...]:
    """Mark orders as performed or refused; returns the rows of the reports that their actors are told."""
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


def _put_state(raw: sqlite3.Connection, writes: Writes) -> None:
    if writes.room is not None:
        if any(each.event == "topology_confirmed" for each in writes.transitions):
            _release_context(raw, writes.room)
        put_room(raw, writes.room)
    if writes.turn is not None:
        put_turn(raw, writes.turn.reply.room_id, writes.turn)
    if writes.turn_ended is not None:
        raw.execute(SQL["end_turn"], {"room_id": writes.turn_ended})
    if writes.user is not None:
        put_user(raw, writes.user)


def _release_context(raw: sqlite3.Connection, room: Room) -> None:
    """Take a context id from any other row: what the homeserver confirms wins over a damaged table."""
    if room.binding is not None and room.binding.platform_chat_id is not None:
        raw.execute(
            SQL["release_context"],
            {"room_id": room.room_id, "platform_chat_id": room.binding.platform_chat_id},
        )


def _put_order(raw: sqlite3.Connection, row: OutboxRow) -> None:
    raw.execute(
        SQL["put_outbox"],
        {
            "txn_id": row.txn_id,
            "lane": row.lane,
            "actor": row.actor,
            "kind": tag_of(row.order),
            "payload": dump(row.order),
            "reports": row.reports,
            "edits": getattr(row.order, "edits", None)
            if getattr(row.order, "droppable", False)
            else None,
            "not_before": row.not_before,
            "created_at": row.created_at,
        },
    )


def put_transition(raw: sqlite3.Connection, transition: Transition) -> None:
    """Store one transition of the bot or of a room (contract R2)."""
    report = transition.report
    raw.execute(
        SQL["put_transition"],
        {
            "subject": transition.subject,
            "at": transition.at,
            "event": transition.event,
            "source": transition.source,
            "target": transition.target,
            "reason": transition.reason,
            "report": json.dumps(dict(report)) if report is not None else None,
        },
    )


def bot(raw: sqlite3.Connection) -> BotRow:
    """Return the bot's own row."""
    row = raw.execute(SQL["bot"]).fetchone()
    return BotRow(
        life=Life(row["state"], row["since"], row["reason"]),
        user_id=UserId(row["user_id"]) if row["user_id"] else None,
        device_id=DeviceId(row["device_id"]) if row["device_id"] else None,
        sync_token=SyncToken(row["sync_token"]) if row["sync_token"] else None,
        platform_chat_seq=row["platform_chat_seq"],
    )


def stored(raw: sqlite3.Connection) -> Stored:
    """Return all rooms and users, and which rooms something is under way for."""
    return Stored(
        rooms={RoomId(row["room_id"]): room_of(row) for row in raw.execute(SQL["rooms"])},
        users={UserId(row["user_id"]): user_of(row) for row in raw.execute(SQL["users"])},
        platform_chat_seq=bot(raw).platform_chat_seq,
        left_alone=frozenset(RoomId(row[0]) for row in raw.execute(SQL["rooms_under_way"])),
    )


def stored_about(raw: sqlite3.Connection, topology: Topology) -> Stored:
    """Return what one look is compared with: its rooms, the chats of its users, and who has its contexts."""
    claims = [read_claim(room.binding) for room in topology.rooms.values()]
    users = {claim.matrix_user_id for claim in claims}
    for room in topology.rooms.values():
        users |= {room.invited_by, *(room.members or ())}
    room_ids = json.dumps(sorted(topology.rooms))
    rows = _rooms_about(raw, room_ids, (), ())
    users |= {row.binding.matrix_user_id for row in rows.values() if row.binding is not None}
    about = {user_id for user_id in users if user_id is not None}
    contexts = {claim.platform_chat_id for claim in claims if claim.platform_chat_id is not None}
    under_way = {RoomId(row[0]) for row in raw.execute(SQL["rooms_under_way"])}
    return Stored(
        rooms=_rooms_about(raw, room_ids, contexts, about),
        users={
            UserId(row["user_id"]): user_of(row)
            for row in raw.execute(SQL["users_about"], {"users": json.dumps(sorted(about))})
        },
        platform_chat_seq=bot(raw).platform_chat_seq,
        left_alone=frozenset(under_way),
    )


def _rooms_about(
    raw: sqlite3.Connection, room_ids: str, contexts: Collection[str], users: Collection[str]
) -> dict[RoomId, Room]:
    keys = {
        "rooms": room_ids,
        "contexts": json.dumps(sorted(contexts)),
        "users": json.dumps(sorted(users)),
    }
    return {RoomId(row["room_id"]): room_of(row) for row in raw.execute(SQL["rooms_about"], keys)}


def preferences(raw: sqlite3.Connection) -> dict[UserId, Preferences]:
    """Return what every user chose."""
    return {
        UserId(row["user_id"]): read(Preferences, row["payload"])
        for row in raw.execute(SQL["preferences"])
    }


def load_actor(raw: sqlite3.Connection, key: ActorKey) -> RoomRows | UserRows:
    """Return an actor's rows and the first of its waiting inbox rows."""
    waiting = first_waiting(raw, key)
    if key.startswith("@"):
        row = raw.execute(SQL["user"], {"user_id": key}).fetchone()
        return UserRows(user_of(row) if row else None, chats_of(raw, key), waiting)
    row = raw.execute(SQL["room"], {"room_id": key}).fetchone()
    return RoomRows(room_of(row) if row else None, turn_of(raw, key), waiting)

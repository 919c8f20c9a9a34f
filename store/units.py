"""What is done on the connection: each function runs on its thread, inside the caller's transaction."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from machines.facts import Quarantined, SyncBatch
from machines.happenings import ChatSummary
from machines.ids import (
    ActorKey,
    AgentId,
    DeviceId,
    EventId,
    RoomId,
    SyncToken,
    TxnId,
    UserId,
)
from machines.lifecycle import Life
from machines.memory import Memory
from machines.preferences import Preferences
from machines.reconcile import Stored
from machines.room import Binding, Room
from machines.turn import Turn
from machines.user import User
from store.codec import adapter, dump, load
from store.queries import SQL
from store.records import (
    BotRow,
    InboxRow,
    Made,
    OutboxRow,
    RoomRows,
    Transition,
    UserRows,
    Writes,
)

READ_AHEAD = 64
"""How many waiting inbox rows are read for one actor at a time; the rest stays in the database."""


def keep_batch(raw: sqlite3.Connection, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
    """Store a decoded sync response and its token; returns the inbox rows that are new."""
    rows = put_facts(raw, batch.facts, at)
    for item in batch.quarantined:
        _put_quarantined(raw, item, at)
    for message in batch.to_device:
        raw.execute(SQL["put_to_device"], {"payload": json.dumps(message), "at": at})
    raw.execute(SQL["set_sync_token"], {"token": batch.token})
    return rows


def put_facts(raw: sqlite3.Connection, facts: Iterable[Any], at: float) -> tuple[InboxRow, ...]:
    """Put facts into the inboxes of their rooms; returns the rows that are new."""
    return tuple(
        row
        for fact in facts
        for row in _put_inbox(
            raw, ActorKey(fact.room_id), fact, getattr(fact, "event_id", None), at
        )
    )


def tell(
    raw: sqlite3.Connection, told: Iterable[tuple[ActorKey, object]], at: float
) -> tuple[InboxRow, ...]:
    """Put events that come from within into inboxes."""
    return tuple(row for actor, event in told for row in _put_inbox(raw, actor, event, None, at))


def _put_inbox(
    raw: sqlite3.Connection, actor: ActorKey, event: object, event_id: EventId | None, at: float
) -> tuple[InboxRow, ...]:
    cursor = raw.execute(
        SQL["put_inbox"],
        {
            "actor": actor,
            "kind": type(event).__name__,
            "event_id": event_id,
            "payload": dump(event),
            "received_at": at,
        },
    )
    if not cursor.rowcount or cursor.lastrowid is None:
        return ()
    return (InboxRow(cursor.lastrowid, actor, event),)


def keep_visit(raw: sqlite3.Connection, writes: Writes, at: float) -> tuple[InboxRow, ...]:
    """Store what one visit to one actor leaves behind; returns the rows told to other actors."""
    if writes.room is not None:
        put_room(raw, writes.room)
    if writes.turn is not None:
        put_turn(raw, writes.turn.reply.room_id, writes.turn)
    if writes.turn_ended is not None:
        raw.execute(SQL["end_turn"], {"room_id": writes.turn_ended})
    if writes.user is not None:
        put_user(raw, writes.user)
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
        payload = adapter(Preferences).dump_json(preferences).decode()
        raw.execute(SQL["put_preferences"], {"user_id": user_id, "payload": payload})
    if writes.platform_chat_seq is not None:
        raw.execute(SQL["raise_platform_chat_seq"], {"seq": writes.platform_chat_seq})
    return tell(raw, writes.told, at)


def _put_order(raw: sqlite3.Connection, row: OutboxRow) -> None:
    raw.execute(
        SQL["put_outbox"],
        {
            "txn_id": row.txn_id,
            "lane": row.lane,
            "actor": row.actor,
            "kind": type(row.order).__name__,
            "payload": dump(row.order),
            "reports": row.reports,
            "edits": getattr(row.order, "edits", None)
            if getattr(row.order, "droppable", False)
            else None,
            "not_before": row.not_before,
            "created_at": row.created_at,
        },
    )


def _put_quarantined(raw: sqlite3.Connection, item: Quarantined, at: float) -> None:
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


def put_room(raw: sqlite3.Connection, room: Room) -> None:
    """Store a room's row."""
    binding = room.binding
    raw.execute(
        SQL["put_room"],
        {
            "room_id": room.room_id,
            "state": room.state,
            "since": room.since,
            "reason": room.reason,
            "room_type": binding.room_type if binding else None,
            "matrix_user_id": binding.matrix_user_id if binding else None,
            "chat_id": binding.chat_id if binding else None,
            "platform_chat_id": binding.platform_chat_id if binding else None,
            "agent_id": binding.agent_id if binding else None,
            "space_id": binding.space_id if binding else None,
            "archived": binding.archived if binding else False,
            "name": room.name,
            "encrypted": room.encrypted,
            "onboards": room.onboards,
            "owner_present": room.owner_present,
            "repaired_at": room.repaired_at,
            "memory": _memory_text(room.memory),
        },
    )


def room_of(row: sqlite3.Row) -> Room:
    """Return the room that a row of `rooms` describes."""
    binding = None
    if row["room_type"] is not None:
        binding = Binding(
            room_type=row["room_type"],
            matrix_user_id=UserId(row["matrix_user_id"]),
            chat_id=row["chat_id"],
            platform_chat_id=row["platform_chat_id"],
            agent_id=AgentId(row["agent_id"]) if row["agent_id"] is not None else None,
            space_id=RoomId(row["space_id"]) if row["space_id"] is not None else None,
            archived=bool(row["archived"]),
        )
    return Room(
        room_id=RoomId(row["room_id"]),
        state=row["state"],
        since=row["since"],
        reason=row["reason"],
        binding=binding,
        name=row["name"],
        encrypted=bool(row["encrypted"]),
        onboards=UserId(row["onboards"]) if row["onboards"] is not None else None,
        owner_present=bool(row["owner_present"]),
        repaired_at=row["repaired_at"],
        memory=adapter(Memory).validate_json(row["memory"]) if row["memory"] else Memory(),
    )


def _memory_text(memory: Memory) -> str | None:
    """Return what is kept of a memory; most rooms have none."""
    return adapter(Memory).dump_json(memory).decode() if memory != Memory() else None


def put_user(raw: sqlite3.Connection, user: User) -> None:
    """Store a user's row."""
    in_hand = None
    if user.asked or user.chat or user.made:
        in_hand = adapter(Made).dump_json(Made(user.asked, user.chat, user.made)).decode()
    raw.execute(
        SQL["put_user"],
        {
            "user_id": user.user_id,
            "state": user.state,
            "display_name": user.display_name,
            "space_id": user.space_id,
            "next_chat_index": user.next_chat_index,
            "in_hand": in_hand,
        },
    )


def user_of(row: sqlite3.Row) -> User:
    """Return the user that a row of `users` describes."""
    made = Made(None, None, None)
    if row["in_hand"] is not None:
        made = adapter(Made).validate_json(row["in_hand"])
    return User(
        user_id=UserId(row["user_id"]),
        state=row["state"],
        display_name=row["display_name"],
        space_id=RoomId(row["space_id"]) if row["space_id"] is not None else None,
        next_chat_index=row["next_chat_index"],
        asked=made.asked,
        chat=made.chat,
        made=made.made,
    )


def chats_of(raw: sqlite3.Connection, user_id: str) -> tuple[ChatSummary, ...]:
    """Return a user's chats in the order of their numbers."""
    return tuple(
        ChatSummary(
            room_id=RoomId(row["room_id"]),
            chat_id=row["chat_id"],
            name=row["name"],
            agent_id=row["agent_id"] or "",
            archived=bool(row["archived"]),
            state=row["state"],
        )
        for row in raw.execute(SQL["chats_of"], {"user_id": user_id})
    )


def put_turn(raw: sqlite3.Connection, room_id: RoomId, turn: Turn) -> None:
    """Store the turn in hand, without what is only of the try in hand."""
    kept = replace(turn, draft="", status="", first_text_at=0.0)
    raw.execute(
        SQL["put_turn"],
        {
            "room_id": room_id,
            "turn_id": turn.turn_id,
            "state": turn.state,
            "tries": turn.tries,
            "payload": adapter(Turn).dump_json(kept).decode(),
        },
    )


def turn_of(raw: sqlite3.Connection, room_id: str) -> Turn | None:
    """Return the turn in hand of a room."""
    row = raw.execute(SQL["turn"], {"room_id": room_id}).fetchone()
    if row is None:
        return None
    turn: Turn = adapter(Turn).validate_json(row["payload"])
    return turn


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


def preferences(raw: sqlite3.Connection) -> dict[UserId, Preferences]:
    """Return what every user chose."""
    return {
        UserId(row["user_id"]): adapter(Preferences).validate_json(row["payload"])
        for row in raw.execute(SQL["preferences"])
    }


def load_actor(raw: sqlite3.Connection, key: ActorKey) -> RoomRows | UserRows:
    """Return an actor's rows and the first of its waiting inbox rows."""
    waiting = inbox(raw, key, 0)
    if key.startswith("@"):
        row = raw.execute(SQL["user"], {"user_id": key}).fetchone()
        return UserRows(user_of(row) if row else None, chats_of(raw, key), waiting)
    row = raw.execute(SQL["room"], {"room_id": key}).fetchone()
    return RoomRows(room_of(row) if row else None, turn_of(raw, key), waiting)


def inbox(raw: sqlite3.Connection, actor: ActorKey, after: int) -> tuple[InboxRow, ...]:
    """Return the next waiting rows of an actor behind the row `after`, at most `READ_AHEAD`."""
    rows = raw.execute(SQL["waiting_inbox"], {"actor": actor, "after": after, "limit": READ_AHEAD})
    return tuple(InboxRow(row["seq"], actor, load(row["kind"], row["payload"])) for row in rows)


def outbox_row(row: sqlite3.Row) -> OutboxRow:
    """Return the order that a row of `outbox` holds."""
    return OutboxRow(
        txn_id=TxnId(row["txn_id"]),
        lane=row["lane"],
        actor=ActorKey(row["actor"]),
        order=load(row["kind"], row["payload"]),
        reports=bool(row["reports"]),
        not_before=row["not_before"],
        created_at=row["created_at"],
    )

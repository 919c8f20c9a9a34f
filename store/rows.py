"""Maps rooms, users, turns and orders to the columns of their tables, and back.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Callable, Mapping
from sys import intern
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from machines.ids import ActorKey, RoomId, TxnId, UserId
from machines.room.binding import Binding
from machines.room.chat_context import ChatContext
from machines.room.state import Room
from machines.turn.state import Turn
from machines.user.chats import ChatSummary
from machines.user.machine import User
from store.codec import dump, read, read_order
from store.queries import SQL
from store.records import OutboxRow, Pending

_DEFAULT_CHAT_CONTEXT = ChatContext()
_NOTHING_PENDING = Pending()


def _unchanged(value: Any) -> Any:
    return value


def _interned(text: Any) -> Any:
    """Return one object for all equal texts: at start the rows of all rooms are in memory at once."""
    return intern(text) if type(text) is str else text


def _load_chat_context(text: str | None) -> ChatContext:
    return read(ChatContext, text) if text else _DEFAULT_CHAT_CONTEXT


def _store_chat_context(chat_context: ChatContext) -> str | None:
    """Return the stored text of a chat context; most rooms have none."""
    return dump(chat_context) if chat_context != _DEFAULT_CHAT_CONTEXT else None


class _Column(Struct, frozen=True):
    """The field that a column stores, and the conversions between the two values."""

    field: str
    load: Callable[[Any], Any] = _unchanged
    store: Callable[[Any], Any] = _unchanged


ROOM_COLUMNS: Mapping[str, _Column] = {
    "room_id": _Column("room_id"),
    "state": _Column("state", _interned),
    "since": _Column("since"),
    "reason": _Column("reason", _interned),
    "name": _Column("name"),
    "encrypted": _Column("encrypted", bool),
    "onboards": _Column("onboarding_user"),
    "owner_membership": _Column("owner_membership", _interned),
    "repaired_at": _Column("last_repair_at"),
    "looks": _Column("failed_repairs"),
    "looking": _Column("repair_pending", bool),
    "told": _Column("failure_reported", bool),
    "reminded": _Column("reminder_sent", bool),
    "heard_seq": _Column("last_message_seq"),
    "memory": _Column("chat_context", _load_chat_context, _store_chat_context),
    "others": _Column("others"),
}
"""The columns of `rooms` that store fields of `Room`."""
BINDING_COLUMNS: Mapping[str, _Column] = {
    "room_type": _Column("room_type", _interned),
    "matrix_user_id": _Column("matrix_user_id", _interned),
    "chat_id": _Column("chat_id"),
    "platform_chat_id": _Column("platform_chat_id"),
    "agent_id": _Column("agent_id", _interned),
    "space_id": _Column("space_id", _interned),
    "archived": _Column("archived", bool, bool),
}
"""The columns of `rooms` that store its binding: NULL, and not archived, if there is none."""


def put_room(raw: sqlite3.Connection, room: Room) -> None:
    """Store a room's row."""
    values = _row(ROOM_COLUMNS, room) | _row(BINDING_COLUMNS, room.binding)
    if raw.execute(SQL["update_room"], values).rowcount == 0:
        raw.execute(SQL["insert_room"], values)
        raw.execute(SQL["update_room"], values)


def room_of(row: sqlite3.Row) -> Room:
    """Return the room of a row of `rooms`."""
    binding = None
    if row["room_type"] is not None:
        binding = Binding(**_fields(BINDING_COLUMNS, row))
    return Room(binding=binding, **_fields(ROOM_COLUMNS, row))


def _row(columns: Mapping[str, _Column], value: Struct | None) -> dict[str, Any]:
    return {name: each.store(getattr(value, each.field, None)) for name, each in columns.items()}


def _fields(columns: Mapping[str, _Column], row: sqlite3.Row) -> dict[str, Any]:
    return {each.field: each.load(row[name]) for name, each in columns.items()}


def put_user(raw: sqlite3.Connection, user: User) -> None:
    """Store a user's row."""
    pending = Pending(user.reply_to, user.chat, user.new_room_id)
    text = dump(pending) if pending != _NOTHING_PENDING else None
    raw.execute(SQL["put_user"], {**asdict(user), "in_hand": text})


def user_of(row: sqlite3.Row) -> User:
    """Return the user of a row of `users`."""
    pending = _NOTHING_PENDING
    if row["in_hand"] is not None:
        pending = read(Pending, row["in_hand"])
    return User(
        user_id=UserId(row["user_id"]),
        state=row["state"],
        display_name=row["display_name"],
        space_id=RoomId(row["space_id"]) if row["space_id"] is not None else None,
        next_chat_index=row["next_chat_index"],
        reply_to=pending.reply_to,
        chat=pending.chat,
        new_room_id=pending.new_room_id,
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
            owner_membership=row["owner_membership"],
            space_membership=row["space_membership"] or "join",
        )
        for row in raw.execute(SQL["chats_of"], {"user_id": user_id})
    )


def put_turn(raw: sqlite3.Connection, turn: Turn) -> None:
    """Store the current turn of a room."""
    raw.execute(
        SQL["put_turn"],
        {
            "room_id": turn.reply.room_id,
            "turn_id": turn.turn_id,
            "state": turn.state,
            "tries": turn.attempt,
            "payload": dump(turn),
        },
    )


def turn_of(raw: sqlite3.Connection, room_id: str) -> Turn | None:
    """Return the current turn of a room."""
    row = raw.execute(SQL["turn"], {"room_id": room_id}).fetchone()
    return read(Turn, row["payload"]) if row is not None else None


def outbox_row(row: sqlite3.Row) -> OutboxRow:
    """Return the order of a row of `outbox`."""
    return OutboxRow(
        txn_id=TxnId(row["txn_id"]),
        lane=row["lane"],
        actor=ActorKey(row["actor"]),
        order=read_order(row["payload"]),
        reports=bool(row["reports"]),
        not_before=row["not_before"],
        created_at=row["created_at"],
        txn_id_expired=bool(row["txn_id_expired"]),
    )

"""Rows and values: how a room, a user, a turn and an order stand in their tables.

Every function here runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from sys import intern
from typing import Any

from machines.binding import Binding
from machines.chats import ChatSummary
from machines.ids import ActorKey, AgentId, RoomId, TxnId, UserId
from machines.memory import Memory
from machines.room import Room
from machines.turn_state import Turn
from machines.user import User
from store.codec import dump, load, read
from store.queries import SQL
from store.records import Made, OutboxRow

_NO_MEMORY = Memory()


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
            "looks": room.looks,
            "looking": room.looking,
            "told": room.told,
            "reminded": room.reminded,
            "heard_seq": room.heard_seq,
            "memory": _memory_text(room.memory),
            "others": room.others,
        },
    )


def room_of(row: sqlite3.Row) -> Room:
    """Return the room that a row of `rooms` describes."""
    binding = None
    if row["room_type"] is not None:
        binding = Binding(
            room_type=_shared(row["room_type"]),
            matrix_user_id=UserId(_shared(row["matrix_user_id"])),
            chat_id=row["chat_id"],
            platform_chat_id=row["platform_chat_id"],
            agent_id=AgentId(_shared(row["agent_id"])) if row["agent_id"] is not None else None,
            space_id=RoomId(_shared(row["space_id"])) if row["space_id"] is not None else None,
            archived=bool(row["archived"]),
        )
    return Room(
        room_id=RoomId(row["room_id"]),
        state=_shared(row["state"]),
        since=row["since"],
        reason=_shared(row["reason"]),
        binding=binding,
        name=row["name"],
        encrypted=bool(row["encrypted"]),
        onboards=UserId(row["onboards"]) if row["onboards"] is not None else None,
        owner_present=bool(row["owner_present"]),
        repaired_at=row["repaired_at"],
        looks=row["looks"],
        looking=bool(row["looking"]),
        told=bool(row["told"]),
        reminded=bool(row["reminded"]),
        heard_seq=row["heard_seq"],
        memory=read(Memory, row["memory"]) if row["memory"] else _NO_MEMORY,
        others=row["others"],
    )


def _shared(text: Any) -> Any:
    """Return one object for all rows that say the same: at a start the rows of all rooms are in memory at once."""
    return intern(text) if type(text) is str else text


def _memory_text(memory: Memory) -> str | None:
    """Return what is kept of a memory; most rooms have none."""
    return dump(memory) if memory != _NO_MEMORY else None


def put_user(raw: sqlite3.Connection, user: User) -> None:
    """Store a user's row."""
    in_hand = None
    if user.asked or user.chat or user.made:
        in_hand = dump(Made(user.asked, user.chat, user.made))
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
        made = read(Made, row["in_hand"])
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
    """Store the turn in hand."""
    raw.execute(
        SQL["put_turn"],
        {
            "room_id": room_id,
            "turn_id": turn.turn_id,
            "state": turn.state,
            "tries": turn.tries,
            "payload": dump(turn),
        },
    )


def turn_of(raw: sqlite3.Connection, room_id: str) -> Turn | None:
    """Return the turn in hand of a room."""
    row = raw.execute(SQL["turn"], {"room_id": room_id}).fetchone()
    if row is None:
        return None
    turn: Turn = read(Turn, row["payload"])
    return turn


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
        doubtful=bool(row["doubtful"]),
    )

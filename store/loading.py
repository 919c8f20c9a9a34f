"""Reads of the runtime: the bot's row, actors with their inboxes, and the state that reconciliation compares.

Every function runs on the connection's thread.
"""

import json
import sqlite3
from collections.abc import Collection

from machines.bot.machine import BotState
from machines.ids import ActorKey, DeviceId, RoomId, SyncToken, UserId
from machines.room.binding import read_stored_binding
from machines.room.plan import StoredState
from machines.room.state import Room
from machines.room.topology import Topology
from machines.user.preferences import Preferences
from store.codec import read
from store.inbox import first_waiting
from store.queries import SQL
from store.records import BotRow, RoomRows, UserRows
from store.rows import chats_of, room_of, turn_of, user_of


def bot(raw: sqlite3.Connection) -> BotRow:
    """Return the bot's own row."""
    row = raw.execute(SQL["bot"]).fetchone()
    return BotRow(
        bot_state=BotState(row["state"], row["since"], row["reason"]),
        user_id=UserId(row["user_id"]) if row["user_id"] else None,
        device_id=DeviceId(row["device_id"]) if row["device_id"] else None,
        sync_token=SyncToken(row["sync_token"]) if row["sync_token"] else None,
        platform_chat_seq=row["platform_chat_seq"],
    )


def stored(raw: sqlite3.Connection) -> StoredState:
    """Return all rooms and users, and the rooms that orders or events in flight belong to."""
    return StoredState(
        rooms={RoomId(row["room_id"]): room_of(row) for row in raw.execute(SQL["rooms"])},
        users={UserId(row["user_id"]): user_of(row) for row in raw.execute(SQL["users"])},
        platform_chat_seq=bot(raw).platform_chat_seq,
        in_flight=_in_flight(raw),
    )


def stored_for(raw: sqlite3.Connection, topology: Topology) -> StoredState:
    """Return the stored state of a part of the topology: its rooms, its users' rooms, and rooms with its contexts."""
    bindings = [read_stored_binding(room.binding) for room in topology.rooms.values()]
    users = {each.matrix_user_id for each in bindings}
    for room in topology.rooms.values():
        users |= {room.invited_by, *(room.members or ())}
    room_ids = json.dumps(sorted(topology.rooms))
    rooms = _rooms_about(raw, room_ids, (), ())
    users |= {room.binding.matrix_user_id for room in rooms.values() if room.binding is not None}
    known_users = {user_id for user_id in users if user_id is not None}
    contexts = {each.platform_chat_id for each in bindings if each.platform_chat_id is not None}
    return StoredState(
        rooms=_rooms_about(raw, room_ids, contexts, known_users),
        users={
            UserId(row["user_id"]): user_of(row)
            for row in raw.execute(SQL["users_about"], {"users": json.dumps(sorted(known_users))})
        },
        platform_chat_seq=bot(raw).platform_chat_seq,
        in_flight=_in_flight(raw),
    )


def _in_flight(raw: sqlite3.Connection) -> frozenset[RoomId]:
    return frozenset(RoomId(row[0]) for row in raw.execute(SQL["rooms_in_flight"]))


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
    """Return the preferences of all users."""
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

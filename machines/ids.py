"""Identifiers of Matrix and of the agent platform, as distinct types.

All are opaque strings. A room id is never parsed (room version 12 ids have no domain), and a user id is split only to
find its server (`server_of`).
"""

from typing import NewType

RoomId = NewType("RoomId", str)
EventId = NewType("EventId", str)
UserId = NewType("UserId", str)
DeviceId = NewType("DeviceId", str)
SyncToken = NewType("SyncToken", str)
TxnId = NewType("TxnId", str)
AgentId = NewType("AgentId", str)
ActorKey = NewType("ActorKey", str)
"""The key of an actor: a room id (`!…`) or a user id (`@…`)."""


def actor_field(key: str) -> dict[str, str]:
    """Return the field of a log line that names an actor: `room_id` or `matrix_user_id`."""
    return {"matrix_user_id" if key.startswith("@") else "room_id": key}


def server_of(user_id: str) -> str:
    """Return the server part of a Matrix user id (`@local:server`), or `""` when it has none."""
    return user_id.partition(":")[2]


def localpart(user_id: str) -> str:
    """Return the local part of a Matrix user id: `local` of `@local:server`."""
    return user_id[1:].partition(":")[0]

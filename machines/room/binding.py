"""The binding of a room, and the parser of its copy on the homeserver (contract R4)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from machines.ids import AgentId, RoomId, UserId

_CHAT_ID = re.compile(r"C([1-9][0-9]{0,8})")
_PLATFORM_CHAT_ID = re.compile(r"[1-9][0-9]{0,17}")
_TIMES_MS = range(10**12, 10**13)
"""Plausible times: from 2001 to 2286."""


RoomType = Literal["chat", "space", "entry"]
OwnerMembership = Literal["join", "invite", "leave", "declined"]
"""The membership of a room's owner: `invite` until they accept, `declined` if they turned an invitation down."""


class Binding(Struct, frozen=True):
    """What a room is bound to, here and on the homeserver (contracts R3, R4).

    `matrix_user_id` is the owner of a chat or Space, or the user who invited the bot to an entry room.
    """

    room_type: RoomType
    matrix_user_id: UserId
    chat_id: str | None = None
    platform_chat_id: str | None = None
    agent_id: AgentId | None = None
    space_id: RoomId | None = None
    archived: bool = False

    def content(self) -> dict[str, Any]:
        """Return the account data content of contract R4, always with all keys."""
        return {
            "chat_id": self.chat_id,
            "platform_chat_id": self.platform_chat_id,
            "agent_id": self.agent_id,
            "matrix_user_id": self.matrix_user_id,
            "space_id": self.space_id,
            "archived": self.archived,
            "room_type": self.room_type,
        }


def chat_number(chat_id: str | None) -> int:
    """Return the number of a chat id (`C7` is 7), or 0 if it is not a chat id."""
    match = _CHAT_ID.fullmatch(chat_id or "")
    return int(match[1]) if match else 0


def platform_number(platform_chat_id: str | None) -> int:
    """Return a `platform_chat_id` as a number, or 0 if it is not one."""
    match = _PLATFORM_CHAT_ID.fullmatch(platform_chat_id or "")
    return int(match[0]) if match else 0


def first_platform_number(times_ms: Iterable[int]) -> int:
    """Return the first `platform_chat_id` if none is known: the first plausible time, or 1 (contract A5).

    The times are milliseconds since 1970. A clock that was never set shows 1970, and a forged time could use up all
    numbers.
    """
    return next((time_ms for time_ms in times_ms if time_ms in _TIMES_MS), 1)


class StoredBinding(Struct, frozen=True):
    """The fields of a binding in account data; each is `None` if its value is missing or invalid."""

    room_type: str | None = None
    matrix_user_id: UserId | None = None
    chat_id: str | None = None
    platform_chat_id: str | None = None
    agent_id: AgentId | None = None
    archived: bool = False


def read_stored_binding(content: Mapping[str, Any] | None) -> StoredBinding:
    """Read the binding in a room's account data; invalid fields become `None`."""
    if content is None:
        return StoredBinding()
    room_type, owner = content.get("room_type"), content.get("matrix_user_id")
    chat_id, platform_chat_id = content.get("chat_id"), content.get("platform_chat_id")
    agent_id = content.get("agent_id")
    return StoredBinding(
        room_type=room_type if room_type in ("chat", "space", "entry") else None,
        matrix_user_id=_user_id(owner),
        chat_id=chat_id if isinstance(chat_id, str) and chat_number(chat_id) else None,
        platform_chat_id=(
            platform_chat_id
            if isinstance(platform_chat_id, str) and platform_number(platform_chat_id)
            else None
        ),
        agent_id=AgentId(agent_id) if isinstance(agent_id, str) and agent_id else None,
        archived=content.get("archived") is True,
    )


def _user_id(value: object) -> UserId | None:
    if isinstance(value, str) and value.startswith("@") and ":" in value:
        return UserId(value)
    return None

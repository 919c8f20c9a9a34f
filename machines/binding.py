"""A room's binding, and what the homeserver's copy of it says (contract R4).

The copy is read field by field; a field that does not fit is not trusted.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from machines.ids import AgentId, RoomId, UserId

_CHAT_ID = re.compile(r"C([1-9][0-9]{0,8})")
_PLATFORM_CHAT_ID = re.compile(r"[1-9][0-9]{0,17}")
_TIMES_MS = range(10**12, 10**13)
"""From 2001 to 2286: what a clock that is set shows."""


RoomType = Literal["chat", "space", "entry"]


class Binding(Struct, frozen=True):
    """What a room is bound to; the same on the homeserver (contracts R3, R4).

    `matrix_user_id` is a chat's or Space's owner, and whoever invited the bot to an entry room.
    """

    room_type: RoomType
    matrix_user_id: UserId
    chat_id: str | None = None
    platform_chat_id: str | None = None
    agent_id: AgentId | None = None
    space_id: RoomId | None = None
    archived: bool = False

    def content(self) -> dict[str, Any]:
        """Return the account data content of contract R4, all keys always there."""
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
    """Return the number of a chat id (`C7` is 7), or 0 for what is none."""
    match = _CHAT_ID.fullmatch(chat_id or "")
    return int(match[1]) if match else 0


def platform_number(platform_chat_id: str | None) -> int:
    """Return a `platform_chat_id` as a number, or 0 for what is none."""
    match = _PLATFORM_CHAT_ID.fullmatch(platform_chat_id or "")
    return int(match[0]) if match else 0


def first_platform_number(times_ms: Iterable[int]) -> int:
    """Return the first `platform_chat_id` of a world in which none is known (contract A5).

    It is the first of these times, in milliseconds since 1970, that a clock may really have shown: one that was never
    set says 1970, and a forged one could use up all numbers. Where none is such a time it is 1.
    """
    return next((time_ms for time_ms in times_ms if time_ms in _TIMES_MS), 1)


class Claim(Struct, frozen=True):
    """What a stored binding says, each field `None` where it says nothing that could be true."""

    room_type: str | None = None
    matrix_user_id: UserId | None = None
    chat_id: str | None = None
    platform_chat_id: str | None = None
    agent_id: AgentId | None = None
    archived: bool = False


def read_claim(content: Mapping[str, Any] | None) -> Claim:
    """Return what the account data of a room says about it."""
    if content is None:
        return Claim()
    room_type, owner = content.get("room_type"), content.get("matrix_user_id")
    chat_id, platform_chat_id = content.get("chat_id"), content.get("platform_chat_id")
    agent_id = content.get("agent_id")
    return Claim(
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

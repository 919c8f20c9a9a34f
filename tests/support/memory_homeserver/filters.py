"""Filters of syncs and of pages of history."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.support.memory_homeserver.rooms import Event

_DEFAULT_LIMIT = 10


class Filter:
    """The part of a sync filter that a bot uses: rooms, event types, senders, lazy members, the timeline's limit."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        room = definition.get("room", {})
        self.rooms: list[str] | None = room.get("rooms")
        self.timeline = room.get("timeline", {})
        self.state = room.get("state", {})
        self.room_account_data = room.get("account_data", {})
        self.account_data = definition.get("account_data", {})
        self.lazy_members = bool(self.state.get("lazy_load_members"))
        self.limit = int(self.timeline.get("limit", _DEFAULT_LIMIT))

    def wants_room(self, room_id: str) -> bool:
        """Whether a room may be in the response; invitations always are."""
        return self.rooms is None or room_id in self.rooms


def allows(part: Mapping[str, Any], event: Event) -> bool:
    """Whether one part of a filter allows an event."""
    if not part:
        return True
    if event.sender not in part.get("senders", (event.sender,)):
        return False
    if event.sender in part.get("not_senders", ()):
        return False
    return allows_type(part, event.type)


def allows_type(part: Mapping[str, Any], kind: str) -> bool:
    """Whether one part of a filter allows a type of events or account data."""
    if "types" in part and not any(fnmatchcase(kind, pattern) for pattern in part["types"]):
        return False
    return not any(fnmatchcase(kind, pattern) for pattern in part.get("not_types", ()))

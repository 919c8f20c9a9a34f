"""Helpers for raw JSON of the homeserver, where any value may be malformed; nothing here raises."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from machines.ids import EventId, RoomId, UserId

MAX_ID_LENGTH = 255

StateMap = dict[tuple[str, str], dict[str, Any]]
"""State events by type and state key."""


def is_id(value: object, sigil: str) -> TypeGuard[str]:
    """Whether this can be an identifier: the right sigil, not too long, and text that can be stored."""
    return (
        type(value) is str
        and value[:1] == sigil
        and 1 < len(value) <= MAX_ID_LENGTH
        and (value.isascii() or is_unicode(value))
    )


def is_unicode(value: str) -> bool:
    """Whether a text can be encoded: it has no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_user_id(value: object) -> UserId | None:
    """Return a valid user id as it is, and `None` for any other value."""
    return UserId(value) if is_id(value, "@") else None


def as_event_id(value: object) -> EventId | None:
    """Return a valid event id as it is, and `None` for any other value."""
    return EventId(value) if is_id(value, "$") else None


def as_dict(value: object) -> dict[str, Any]:
    """Return an object as it is, and an empty one for any other value."""
    return value if type(value) is dict else {}


def section_events(room: Mapping[str, Any], section: str) -> list[object]:
    """Return the events in a section of a sync's room."""
    events = as_dict(room.get(section)).get("events")
    return events if type(events) is list else []


def state_map(events: Iterable[object]) -> StateMap:
    """Index state events by type and key; the last one of each counts."""
    state: StateMap = {}
    for event in events:
        if type(event) is dict:
            kind, key = event.get("type"), event.get("state_key")
            if type(kind) is str and type(key) is str and type(event.get("content")) is dict:
                state[kind, key] = event
    return state


def joined_room_ids(answer: object) -> frozenset[RoomId] | None:
    """Return the rooms in the answer of `/joined_rooms`, `None` where it is malformed."""
    joined = as_dict(answer).get("joined_rooms")
    if type(joined) is not list:
        return None
    return frozenset(RoomId(room_id) for room_id in joined if is_id(room_id, "!"))

"""Strict access to the fields of a raw event: a valid value, or `Undecodable`."""

from typing import Any

from machines.ids import EventId, UserId
from matrix.raw_events import is_id

_MAX_TIME_MS = 2**53


class Undecodable(Exception):
    """The event can't be decoded; the rest of its timeline is decoded all the same."""


def event_id_of(event: dict[str, Any]) -> EventId:
    """Return the event's id."""
    event_id = event.get("event_id")
    if not is_id(event_id, "$"):
        raise Undecodable("the event has no valid event_id")
    return EventId(event_id)


def sender_of(event: dict[str, Any]) -> UserId:
    """Return the event's sender."""
    sender = event.get("sender")
    if not is_id(sender, "@"):
        raise Undecodable("the event has no valid sender")
    return UserId(sender)


def sent_at_ms_of(event: dict[str, Any]) -> int:
    """Return the time at which the sender's homeserver says that it was sent."""
    sent_at_ms = event.get("origin_server_ts")
    if type(sent_at_ms) is not int or not 0 <= sent_at_ms <= _MAX_TIME_MS:
        raise Undecodable("the event has no valid origin_server_ts")
    return sent_at_ms


def content_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event's content."""
    content = event.get("content")
    if type(content) is not dict:
        raise Undecodable("the event's content is not an object")
    return content

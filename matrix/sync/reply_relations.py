"""Relates the bot's own replies in a piece of a timeline to the messages that they answer (contract D2).

Normally the database knows which messages are answered. Where it was lost or restored from a backup, only the
homeserver knows it: in the history that is read back (contract D12), and when a sync repeats old events together with
their answers (contract D1). Encrypted events can't be related here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from machines.events.matrix import (
    BegunPart,
    EncryptedArrived,
    FileArrived,
    MalformedArrived,
    MatrixEvent,
    MessageArrived,
    MessageEdited,
    UnsupportedArrived,
)
from machines.ids import EventId, UserId
from matrix.keys import ANSWERS_KEY, PART_KEY, PARTIAL_KEY
from matrix.raw_events import as_dict, is_id

MESSAGES = (
    MessageArrived,
    FileArrived,
    UnsupportedArrived,
    MalformedArrived,
    EncryptedArrived,
)
"""The events that get an answer."""


@dataclass(slots=True)
class _ReplyEvent:
    """One event of a reply by the bot, with its edits applied."""

    event_id: EventId
    answers: str
    part: int
    partial: bool
    sent_at_ms: int
    edits: int = 0


def without_answered(
    decoded: list[MatrixEvent], events: Sequence[object], bot: UserId
) -> list[MatrixEvent]:
    """Return the decoded events without the messages whose complete answer is in `events`; never raises.

    A message with an incomplete answer gets the parts of that answer (`begun`). Edits of it that are not older than
    its answer are left out: they came after its turn began (contract D17).
    """
    replies: dict[str, list[_ReplyEvent]] = {}
    for reply in _replies(events, bot):
        replies.setdefault(reply.answers, []).append(reply)
    if not replies:
        return decoded
    left: list[MatrixEvent] = []
    for event in decoded:
        if isinstance(event, MessageEdited) and event.target in replies:
            if event.sent_at_ms < min(reply.sent_at_ms for reply in replies[event.target]):
                left.append(event)
            continue
        series = replies.get(event.event_id, []) if isinstance(event, MESSAGES) else []
        if not series:
            left.append(event)
        elif any(reply.partial for reply in series):
            left.append(_begun(event, series))
    return left


def last_message(events: Sequence[object]) -> dict[str, Any] | None:
    """Return the last raw message that a room shows; an edit or a deleted message is none (contract D18)."""
    for event in map(as_dict, reversed(events)):
        if event.get("type") not in ("m.room.message", "m.room.encrypted") or "state_key" in event:
            continue
        if not is_id(event.get("event_id"), "$") or not is_id(event.get("sender"), "@"):
            continue
        relation = as_dict(as_dict(event.get("content")).get("m.relates_to"))
        redacted = "redacted_because" in as_dict(event.get("unsigned"))
        if relation.get("rel_type") != "m.replace" and not redacted:
            return event
    return None


def _begun(event: MatrixEvent, series: list[_ReplyEvent]) -> MatrixEvent:
    if not isinstance(event, MessageArrived | FileArrived):
        return event
    series.sort(key=lambda reply: reply.part)
    parts = tuple(BegunPart(reply.event_id, reply.edits) for reply in series)
    return replace(event, begun=parts)


def _replies(events: Sequence[object], bot: UserId) -> list[_ReplyEvent]:
    replies: dict[str, _ReplyEvent] = {}
    for event in map(as_dict, events):
        if event.get("sender") != bot or event.get("type") != "m.room.message":
            continue
        content = as_dict(event.get("content"))
        relation = as_dict(content.get("m.relates_to"))
        if relation.get("rel_type") == "m.replace":
            target = relation.get("event_id")
            edited = replies.get(target) if type(target) is str else None
            if edited is not None:
                edited.edits += 1
                new_content = as_dict(content.get("m.new_content"))
                edited.partial = new_content.get(PARTIAL_KEY) is True
            continue
        event_id, answers, part = event.get("event_id"), content.get(ANSWERS_KEY), 1
        if type(content.get(PART_KEY)) is int:
            part = content[PART_KEY]
        if is_id(event_id, "$") and type(answers) is str:
            partial = content.get(PARTIAL_KEY) is True
            sent_at = event.get("origin_server_ts")
            sent_at_ms = sent_at if type(sent_at) is int else 0
            replies[event_id] = _ReplyEvent(EventId(event_id), answers, part, partial, sent_at_ms)
    return list(replies.values())

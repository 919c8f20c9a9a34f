"""Which messages in a piece of a timeline are answered in it, by the bot's own events (contract D2).

The database knows what was answered. Where it was lost or put back only the homeserver can tell: in the
history that is read back (contract D12), and when a sync shows once more what it has shown before (contract
D1), with the answer behind it. What is encrypted can't be seen here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from machines.facts import (
    BegunPart,
    EncryptedArrived,
    Fact,
    FileArrived,
    MalformedArrived,
    MessageArrived,
)
from machines.ids import EventId, UserId
from matrix.sync.events import is_id

ANSWERS_KEY = "org.lambda.surfaces.answers"
PART_KEY = "org.lambda.surfaces.part"
PARTIAL_KEY = "org.lambda.surfaces.partial"

MESSAGES = (MessageArrived, FileArrived, MalformedArrived, EncryptedArrived)
"""The facts that want an answer."""


@dataclass(slots=True)
class _ReplyEvent:
    """One of the bot's own events that answer something, as it reads after its edits."""

    event_id: EventId
    answers: str
    part: int
    partial: bool
    edits: int = 0


def unanswered(facts: list[Fact], events: Sequence[object], bot: UserId) -> list[Fact]:
    """Return the facts without the messages that have their whole answer in these events; never raises.

    A message whose answer is not finished is told with what was begun of it.
    """
    replies: dict[str, list[_ReplyEvent]] = {}
    for reply in _replies(events, bot):
        replies.setdefault(reply.answers, []).append(reply)
    if not replies:
        return facts
    left: list[Fact] = []
    for fact in facts:
        series = replies.get(fact.event_id, []) if isinstance(fact, MESSAGES) else []
        if not series:
            left.append(fact)
        elif any(reply.partial for reply in series):
            left.append(_begun(fact, series))
    return left


def _begun(fact: Fact, series: list[_ReplyEvent]) -> Fact:
    if not isinstance(fact, MessageArrived):
        return fact
    series.sort(key=lambda reply: reply.part)
    parts = tuple(BegunPart(reply.event_id, reply.edits) for reply in series)
    return replace(fact, begun=parts)


def _replies(events: Sequence[object], bot: UserId) -> list[_ReplyEvent]:
    replies: dict[str, _ReplyEvent] = {}
    for raw in events:
        event = _dict(raw)
        if event.get("sender") != bot or event.get("type") != "m.room.message":
            continue
        content = _dict(event.get("content"))
        relation = _dict(content.get("m.relates_to"))
        if relation.get("rel_type") == "m.replace":
            target = relation.get("event_id")
            edited = replies.get(target) if type(target) is str else None
            if edited is not None:
                edited.edits += 1
                new_content = _dict(content.get("m.new_content"))
                edited.partial = new_content.get(PARTIAL_KEY) is True
            continue
        event_id, answers, part = event.get("event_id"), content.get(ANSWERS_KEY), 1
        if type(content.get(PART_KEY)) is int:
            part = content[PART_KEY]
        if is_id(event_id, "$") and type(answers) is str:
            partial = content.get(PARTIAL_KEY) is True
            replies[event_id] = _ReplyEvent(EventId(event_id), answers, part, partial)
    return list(replies.values())


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}

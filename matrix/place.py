"""What of a room is settled, and what is left to answer, when the database is gone (contract D12).

The bot's place (`m.fully_read`) and its own answers, which name what they answer (contract D2), both stand on
the homeserver. A message is left to answer only when neither settles it; what was begun of its answer is told
along with it, so that it is finished in its own events.
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
from machines.ids import EventId, RoomId, UserId
from matrix.decoding import decode_page
from matrix.events import is_id

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


def left_to_answer(
    events: Sequence[object], room_id: RoomId, place: str | None, bot: UserId
) -> tuple[Fact, ...]:
    """Return the messages of a room's history, oldest first, that nothing settles; never raises.

    `place` is the last message that the bot has finished with, when it stands in this history.
    """
    replies: dict[str, list[_ReplyEvent]] = {}
    for reply in _replies(events, bot):
        replies.setdefault(reply.answers, []).append(reply)
    left: list[Fact] = []
    for fact in decode_page(_after(events, place), room_id, bot):
        if not isinstance(fact, MESSAGES):
            continue
        series = replies.get(fact.event_id, [])
        if series and not any(reply.partial for reply in series):
            continue
        if series and isinstance(fact, MessageArrived):
            series.sort(key=lambda reply: reply.part)
            begun = tuple(BegunPart(reply.event_id, reply.edits) for reply in series)
            left.append(replace(fact, begun=begun))
        else:
            left.append(fact)
    return tuple(left)


def _after(events: Sequence[object], place: str | None) -> Sequence[object]:
    for index, event in enumerate(events):
        if place is not None and _dict(event).get("event_id") == place:
            return events[index + 1 :]
    return events


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

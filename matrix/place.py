"""What is settled already when a bot without a database comes back (contract D12).

A full sync without a token brings the end of every timeline, as if nothing had been answered. The bot's place
(`m.fully_read`) and its own answers, which name what they answer (contract D2), say what was. Both stand in
the same response; a message is left for the runtime only when neither settles it.
"""

from dataclasses import replace
from typing import Any

from machines.facts import EncryptedArrived, FileArrived, MessageArrived, SyncBatch
from machines.ids import UserId

ANSWERS_KEY = "org.lambda.surfaces.answers"
PARTIAL_KEY = "org.lambda.surfaces.partial"


def without_settled(batch: SyncBatch, response: object, bot: UserId) -> SyncBatch:
    """Leave out of an initial batch the messages that the bot has finished with; never raises."""
    settled: set[str] = set()
    for room in _dict(_dict(_dict(response).get("rooms")).get("join")).values():
        settled |= _settled_in(_dict(room), bot)
    facts = tuple(
        fact
        for fact in batch.facts
        if not isinstance(fact, MessageArrived | FileArrived | EncryptedArrived)
        or fact.event_id not in settled
    )
    return replace(batch, facts=facts)


def _settled_in(room: dict[str, Any], bot: UserId) -> set[str]:
    events = [_dict(event) for event in _events(room, "timeline")]
    ids = [event.get("event_id") for event in events]
    place = _place(room)
    finished = ids[: ids.index(place) + 1] if place in ids else []
    # Every reply as it reads now, by the event that it is: an edit takes the place of what it edits.
    replies: dict[str, tuple[str, bool]] = {}
    for event_id, event in zip(ids, events, strict=True):
        content = _dict(event.get("content"))
        relation = _dict(content.get("m.relates_to"))
        is_edit = relation.get("rel_type") == "m.replace"
        reply = relation.get("event_id") if is_edit else event_id
        said = _dict(content.get("m.new_content")) if is_edit else content
        answered = said.get(ANSWERS_KEY)
        if event.get("sender") == bot and type(reply) is str and type(answered) is str:
            replies[reply] = (answered, said.get(PARTIAL_KEY) is True)
    begun = {answered for answered, partial in replies.values() if partial}
    done = {answered for answered, partial in replies.values() if not partial}
    return {event_id for event_id in finished if type(event_id) is str} | (done - begun)


def _place(room: dict[str, Any]) -> str | None:
    for event in _events(room, "account_data"):
        if _dict(event).get("type") == "m.fully_read":
            event_id = _dict(_dict(event).get("content")).get("event_id")
            return event_id if type(event_id) is str else None
    return None


def _events(room: dict[str, Any], section: str) -> list[object]:
    events = _dict(room.get(section)).get("events")
    return events if type(events) is list else []


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}

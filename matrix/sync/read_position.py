"""The bot's read position in a room (`m.fully_read`), and the messages that are unanswered after it (contract D12).

When the database is gone, the homeserver still has the read position and the bot's own answers, which name the message
that they answer (contract D2). A message is left to answer only where neither settles it. The parts of an incomplete
answer are included, so that the bot finishes it in its own events.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from machines.events.matrix import MatrixEvent
from machines.ids import EventId, RoomId, UserId
from matrix.errors import RequestRefused
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.raw_events import as_dict, is_id, section_events
from matrix.sync.reply_relations import MESSAGES
from matrix.sync.timeline import decode_page


async def fetch_read_position(transport: Transport, bot: UserId, room_id: RoomId) -> EventId | None:
    """Return the read position that the homeserver has, `None` where there is none."""
    path = client_path("user", bot, "rooms", room_id, "account_data", "m.fully_read")
    try:
        return _event_id(await transport.request(Request("GET", path)))
    except RequestRefused:
        return None


def read_position_in(room: Mapping[str, Any]) -> EventId | None:
    """Return the read position in a sync's joined room."""
    position = None
    for event in map(as_dict, section_events(room, "account_data")):
        if event.get("type") == "m.fully_read":
            position = _event_id(event.get("content")) or position
    return position


def is_settled(room: Mapping[str, Any], position: EventId | None) -> bool:
    """Whether the read position is at the last message of a sync's joined room, or there is no message."""
    events = [event for event in section_events(room, "timeline") if type(event) is dict]
    return not events or events[-1].get("event_id") == position


def left_to_answer(
    events: Sequence[object], room_id: RoomId, position: str | None, bot: UserId
) -> tuple[MatrixEvent, ...]:
    """Return the unanswered messages of a room's history, oldest first; never raises.

    `position` is the last message that the bot has finished, if this history contains it.
    """
    after = _after(events, position)
    # At its read position the bot was in the room.
    unread = events if after is None else after
    facts = decode_page(unread, room_id, bot, was_in=after is not None)
    return tuple(fact for fact in facts if isinstance(fact, MESSAGES))


def _after(events: Sequence[object], position: str | None) -> Sequence[object] | None:
    """Return the events after the read position, `None` where this history does not contain it."""
    for index, event in enumerate(events):
        if position is not None and as_dict(event).get("event_id") == position:
            return events[index + 1 :]
    return None


def _event_id(content: object) -> EventId | None:
    event_id = as_dict(content).get("event_id")
    return EventId(event_id) if is_id(event_id, "$") else None

"""The bot's read position in a room (`m.fully_read`), and the messages that are unanswered after it (contract D12).

When the database is gone, the homeserver still has the read position and the bot's own answers, which name the message
that they answer (contract D2). A message is unanswered if it is after the read position and no complete
answer names it. The parts of an incomplete answer are included, so that the bot finishes it in its own events.

A full sync without a token contains, for each room, only the last message that somebody else sent. Where the read
position is at that message, the room is fully read; almost all rooms are. In the others the history is read back, to
the read position or the bot's own join. This includes rooms whose last message is an edit or a notice, which gets no
answer: a question may come before it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from machines.events.matrix import MatrixEvent, MessageDeleted, MessageEdited, SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from matrix.http.request import run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict, as_event_id, section_events
from matrix.sync.history import read_back
from matrix.sync.reply_relations import MESSAGES
from matrix.sync.timeline import decode_page

_KEPT = (*MESSAGES, MessageEdited, MessageDeleted)

RoomsToRead = Mapping[RoomId, EventId | None]
"""The rooms with messages after the read position, and that position."""


async def fetch_read_position(transport: Transport, bot: UserId, room_id: RoomId) -> EventId | None:
    """Return the read position that the homeserver has, `None` where there is none."""
    path = ("user", bot, "rooms", room_id, "account_data", "m.fully_read")
    return _event_id(await transport.get(*path, absent=ANY_STATUS))


def read_position_in(room: Mapping[str, Any]) -> EventId | None:
    """Return the read position in a sync's joined room."""
    position = None
    for event in map(as_dict, section_events(room, "account_data")):
        if event.get("type") == "m.fully_read":
            position = _event_id(event.get("content")) or position
    return position


def is_fully_read(room: Mapping[str, Any], position: EventId | None) -> bool:
    """Whether the read position is at the last message of a sync's joined room, or there is no message."""
    events = [event for event in section_events(room, "timeline") if type(event) is dict]
    return not events or events[-1].get("event_id") == position


async def resume_batch(
    transport: Transport, bot: UserId, batch: SyncBatch, rooms_to_read: RoomsToRead
) -> SyncBatch:
    """Return an initial batch with the unanswered messages instead of the last messages."""
    found: dict[RoomId, tuple[MatrixEvent, ...]] = {}

    async def read(room_id: RoomId, position: EventId | None) -> None:
        found[room_id] = await read_unanswered(transport, bot, room_id, batch.token, position)

    await run_reads(partial(read, *each) for each in rooms_to_read.items())
    events: list[MatrixEvent] = [event for event in batch.events if not isinstance(event, MESSAGES)]
    for room_id in rooms_to_read:
        events.extend(found[room_id])
    return replace(batch, events=tuple(events))


async def read_unanswered(
    transport: Transport,
    bot: UserId,
    room_id: RoomId,
    end: SyncToken | None,
    position: EventId | None,
) -> tuple[MatrixEvent, ...]:
    """Read a room's history up to `end`, or all of it, and return the unanswered messages, oldest first."""
    events = await read_back(transport, bot, room_id, end, position)
    return unanswered_messages(events, room_id, position, bot)


def unanswered_messages(
    events: Sequence[object], room_id: RoomId, position: str | None, bot: UserId
) -> tuple[MatrixEvent, ...]:
    """Return the unanswered messages of a room's history and their edits, oldest first; never raises.

    `position` is the last message that the bot has finished, if this history contains it.
    """
    ids = [as_dict(event).get("event_id") for event in events]
    was_read = position is not None and position in ids
    unread = events[ids.index(position) + 1 :] if was_read else events
    # At its read position the bot was in the room.
    decoded = decode_page(unread, room_id, bot, was_in=was_read)
    return tuple(event for event in decoded if isinstance(event, _KEPT))


def _event_id(content: object) -> EventId | None:
    return as_event_id(as_dict(content).get("event_id"))

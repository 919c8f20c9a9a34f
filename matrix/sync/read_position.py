"""The bot's read position in a room (`m.fully_read`), and the messages that are unanswered after it (contract D12).

When the database is gone, the homeserver still has the read position and the bot's own answers, which name the message
that they answer (contract D2). A message is unanswered if it is after the read position and no complete
answer names it. The parts of an incomplete answer are included, so that the bot finishes it in its own events.

A full sync without a token contains, for each room, only the last message that somebody else sent. Where the read
position is at that message, the room is fully read; almost all rooms are. In the others the history is read back, to
the read position or the bot's own join. This includes rooms whose last message is an edit or a notice, which gets no
answer: a question may come before it.

A request of a process that was killed may still arrive. Its event would not be in the history that is read right after
the start, and the homeserver would take the new reply for a repetition of it (fact 7). So unanswered messages that are
found right after the start are read a second time, `SETTLING_S` after the start.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from machines.events.matrix import (
    LastMessageShown,
    MatrixEvent,
    MemberChanged,
    MessageDeleted,
    MessageEdited,
    SyncBatch,
)
from machines.ids import EventId, RoomId, SyncToken, UserId
from matrix.clock import Clock
from matrix.http.request import run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict, as_event_id, section_events
from matrix.sync.history import read_back
from matrix.sync.reply_relations import MESSAGES
from matrix.sync.timeline import decode_page

SETTLING_S = 3.0
"""How long after the start a request of an earlier process may still arrive at the homeserver."""

_KEPT = (*MESSAGES, MessageEdited, MessageDeleted, LastMessageShown)

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


class UnansweredReader:
    """Reads the unanswered messages of rooms; `clock` tells how long ago the process started."""

    def __init__(self, transport: Transport, bot: UserId, clock: Clock) -> None:
        self._transport = transport
        self._bot = bot
        self._clock = clock
        self._settled_at = clock.now() + SETTLING_S

    async def resume_batch(self, batch: SyncBatch, rooms_to_read: RoomsToRead) -> SyncBatch:
        """Return an initial batch with the unanswered messages instead of the last messages."""
        found: dict[RoomId, tuple[MatrixEvent, ...]] = {}

        async def read(room_id: RoomId, position: EventId | None) -> None:
            found[room_id] = await self.read(room_id, batch.token, position)

        await run_reads(partial(read, *each) for each in rooms_to_read.items())
        events: list[MatrixEvent] = [
            event for event in batch.events if not isinstance(event, MESSAGES)
        ]
        for room_id in rooms_to_read:
            events.extend(found[room_id])
        return replace(batch, events=tuple(events), last_shown=())

    async def read(
        self, room_id: RoomId, end: SyncToken | None, position: EventId | None
    ) -> tuple[MatrixEvent, ...]:
        """Read a room's history up to `end`, or all of it; return the unanswered messages, oldest first.

        The second reading is not limited by `end`, because the late events are after it. The next sync may return some
        of its messages again; the inbox has each event only once.
        """
        unanswered = await self._read_once(room_id, end, position)
        wait_s = self._settled_at - self._clock.now()
        if not unanswered or wait_s <= 0:
            return unanswered
        await self._clock.sleep(min(wait_s, SETTLING_S))
        return await self._read_once(room_id, None, position)

    async def _read_once(
        self, room_id: RoomId, end: SyncToken | None, position: EventId | None
    ) -> tuple[MatrixEvent, ...]:
        events = await read_back(self._transport, self._bot, room_id, end, position)
        return unanswered_messages(events, room_id, position, self._bot)


def unanswered_messages(
    events: Sequence[object], room_id: RoomId, position: str | None, bot: UserId
) -> tuple[MatrixEvent, ...]:
    """Return a room's unanswered messages, their edits, and the changes of members, oldest first; never raises.

    Where the newest message of the room is another one, that is the last element.
    `position` is the last message that the bot has finished, if this history contains it.
    """
    ids = [as_dict(event).get("event_id") for event in events]
    was_read = position is not None and position in ids
    unread = events[ids.index(position) + 1 :] if was_read else events
    # At its read position the bot was in the room.
    decoded = decode_page(unread, room_id, bot, was_in=was_read)
    kept = tuple(event for event in decoded if isinstance(event, _KEPT))
    if not any(isinstance(event, MESSAGES) for event in kept):
        return kept
    # Who wrote may have left since, and does not read the answer any more (contract O5).
    return tuple(event for event in decoded if isinstance(event, (*_KEPT, MemberChanged)))


def _event_id(content: object) -> EventId | None:
    return as_event_id(as_dict(content).get("event_id"))

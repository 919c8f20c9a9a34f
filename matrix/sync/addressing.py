"""Finds out which replies are replies to the bot (contract O5).

The journal knows the bot's own events, but not those before a loss of the database, nor those that were pruned. So for
a reply in a room of others, the sender of the event that it replies to is read from the homeserver. The number and the
time of these reads are bounded; a reply whose target can't be read counts as one to another user. Most clients mention
the sender of the message that a reply refers to, and then nothing is read.
"""

from collections.abc import Container
from functools import partial

import anyio
from msgspec.structs import replace

from machines.events.matrix import FileArrived, MatrixEvent, MessageArrived, UnsupportedArrived
from machines.ids import EventId, RoomId, UserId
from matrix.http.request import run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict

MAX_TARGETS = 20
"""How many events are read for one batch."""
READ_WITHIN_S = 5.0
_ADDRESSED = MessageArrived | FileArrived | UnsupportedArrived


async def mark_replies_to_bot(
    transport: Transport,
    bot: UserId,
    own_rooms: Container[RoomId],
    events: tuple[MatrixEvent, ...],
) -> tuple[MatrixEvent, ...]:
    """Return the events, with replies to the bot marked as addressed; in `own_rooms` it makes no difference."""
    targets = dict.fromkeys(
        (each.room_id, each.replies_to)
        for each in events
        if isinstance(each, _ADDRESSED)
        and each.replies_to is not None
        and not each.addressed
        and each.room_id not in own_rooms
    )
    if not targets:
        return events
    sent_by_bot: set[tuple[RoomId, EventId]] = set()

    async def read(room_id: RoomId, event_id: EventId) -> None:
        event = as_dict(await transport.get("rooms", room_id, "event", event_id, absent=ANY_STATUS))
        if (event.get("sender"), event.get("room_id")) == (bot, room_id):
            sent_by_bot.add((room_id, event_id))

    with anyio.move_on_after(READ_WITHIN_S):
        await run_reads(partial(read, *each) for each in list(targets)[:MAX_TARGETS])
    return tuple(
        replace(each, addressed=True)
        if isinstance(each, _ADDRESSED) and (each.room_id, each.replies_to) in sent_by_bot
        else each
        for each in events
    )

"""Puts the display name of the sender into emotes (contract D5).

An emote reads `* name does something`, with the name that other clients show: that of the sender's membership in the
room. Syncs do not always contain it, so it is read from the room's current state. Emotes are rare; the number and the
time of these reads are bounded, and without a name the localpart stays.
"""

from collections.abc import Mapping
from functools import partial

import anyio
from msgspec.structs import replace

from machines.events.matrix import MatrixEvent, MessageArrived, MessageEdited
from machines.ids import RoomId, UserId, localpart
from matrix.http.cleaning import clean_text
from matrix.http.request import run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict
from matrix.sync.events import emote_opening

MAX_NAMES = 20
"""How many names are read for one batch of events."""
READ_WITHIN_S = 5.0
NAME_CHARS = 100


async def name_senders(
    transport: Transport, events: tuple[MatrixEvent, ...]
) -> tuple[MatrixEvent, ...]:
    """Return the events with the display names of the senders of emotes."""
    senders = {
        (each.room_id, each.sender): ""
        for each in events
        if isinstance(each, MessageArrived | MessageEdited) and each.emote
    }
    if not senders:
        return events

    async def read(room_id: RoomId, user_id: UserId) -> None:
        path = ("rooms", room_id, "state", "m.room.member", user_id)
        name = as_dict(await transport.get(*path, absent=ANY_STATUS)).get("displayname")
        if type(name) is str:
            senders[room_id, user_id] = " ".join(clean_text(name).split())[:NAME_CHARS]

    with anyio.move_on_after(READ_WITHIN_S):
        await run_reads(partial(read, *each) for each in list(senders)[:MAX_NAMES])
    return tuple(_named(event, senders) for event in events)


def _named(event: MatrixEvent, names: Mapping[tuple[RoomId, UserId], str]) -> MatrixEvent:
    if not isinstance(event, MessageArrived | MessageEdited) or not event.emote:
        return event
    name = names.get((event.room_id, event.sender))
    if not name:
        return event
    text = event.body.removeprefix(emote_opening(localpart(event.sender)))
    return replace(event, body=f"{emote_opening(name)}{text}")

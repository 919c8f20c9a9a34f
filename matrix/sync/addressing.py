"""Finds out which replies are replies to the bot (contract O5).

The journal knows the bot's own events, but not those before a loss of the database, nor those that were pruned. So for
a reply in a room of others, the sender of the event that it replies to is read from the homeserver. The number and the
time of these reads are bounded (`OptionalReads`); a reply whose target can't be read counts as one to another user.
Most clients mention the sender of the message that a reply refers to, and then nothing is read.
"""

from collections.abc import Container

from msgspec.structs import replace

from machines.events.matrix import FileArrived, MatrixEvent, MessageArrived, UnsupportedArrived
from machines.ids import RoomId, UserId
from matrix.sync.optional_reads import OptionalReads, Target

MAX_TARGETS = 20
"""How many events are read for one batch."""
_ADDRESSED = MessageArrived | FileArrived | UnsupportedArrived


async def mark_replies_to_bot(
    reads: OptionalReads,
    bot: UserId,
    own_rooms: Container[RoomId],
    events: tuple[MatrixEvent, ...],
) -> tuple[MatrixEvent, ...]:
    """Return the events, with replies to the bot marked as addressed; in `own_rooms` it makes no difference."""
    targets: dict[Target, None] = dict.fromkeys(
        (each.room_id, each.replies_to)
        for each in events
        if isinstance(each, _ADDRESSED)
        and each.replies_to is not None
        and not each.addressed
        and each.room_id not in own_rooms
    )
    if not targets:
        return events
    found = await reads.read(_event_path, list(targets)[:MAX_TARGETS])
    sent_by_bot = {
        (room_id, event_id)
        for (room_id, event_id), event in found.items()
        if (event.get("sender"), event.get("room_id")) == (bot, room_id)
    }
    return tuple(
        replace(each, addressed=True)
        if isinstance(each, _ADDRESSED) and (each.room_id, each.replies_to) in sent_by_bot
        else each
        for each in events
    )


def _event_path(target: Target) -> tuple[str, ...]:
    room_id, event_id = target
    return ("rooms", room_id, "event", event_id)

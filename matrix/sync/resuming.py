"""Resumes at the read positions when there is no database (contract D12).

A full sync without a token contains, for each room, only the last message that somebody else sent. Where the read
position (`m.fully_read`) is at that message, the room is settled; almost all rooms are. In the others the history is
read back, to the read position or the bot's own join. This includes rooms whose last message is an edit or a notice,
which gets no answer: a question may come before it.
"""

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from machines.events.matrix import MatrixEvent, SyncBatch
from machines.ids import EventId, RoomId, UserId
from matrix.http.concurrency import run_reads
from matrix.http.transport import Transport
from matrix.sync.history import read_back
from matrix.sync.read_position import left_to_answer
from matrix.sync.reply_relations import MESSAGES

Unsettled = Mapping[RoomId, EventId | None]
"""The rooms with messages after the read position, and that position."""


async def resume_batch(
    transport: Transport, bot: UserId, batch: SyncBatch, unsettled: Unsettled
) -> SyncBatch:
    """Return an initial batch with the unanswered messages instead of the last messages."""
    found: dict[RoomId, tuple[MatrixEvent, ...]] = {}

    async def read(room_id: RoomId, position: EventId | None) -> None:
        events = await read_back(transport, bot, room_id, batch.token, position)
        found[room_id] = left_to_answer(events, room_id, position, bot)

    await run_reads(partial(read, *each) for each in unsettled.items())
    facts: list[MatrixEvent] = [fact for fact in batch.events if not isinstance(fact, MESSAGES)]
    for room_id in unsettled:
        facts.extend(found[room_id])
    return replace(batch, events=tuple(facts))

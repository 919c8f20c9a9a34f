"""Goes back to where the bot was when there is no database to tell (contract D12).

A full sync without a token brings, of every room, only the last message that somebody else sent. Where that is
the bot's place (`m.fully_read`) the room is settled, which is so for all but a few. Only in the others history
is read back, to the place or the bot's own join; also where that last message is an edit or a notice, which asks
nothing, because a question may stand before it.
"""

from collections.abc import Mapping
from typing import Any

import anyio
from msgspec.structs import replace

from machines.facts import Fact, SyncBatch
from machines.ids import EventId, RoomId, UserId
from matrix.errors import RequestRefused
from matrix.http.request import Request, client_path
from matrix.http.transport import MAX_CONCURRENT_READS, Transport
from matrix.sync.events import is_id
from matrix.sync.history import read_back
from matrix.sync.read_position import left_to_answer
from matrix.sync.replies import MESSAGES

Unsettled = Mapping[RoomId, EventId | None]
"""The rooms whose last message is not the bot's place, and that place."""


async def resumed(
    transport: Transport, bot: UserId, batch: SyncBatch, unsettled: Unsettled
) -> SyncBatch:
    """Return an initial batch with what is left to answer in place of the last messages."""
    found: dict[RoomId, tuple[Fact, ...]] = {}
    async with anyio.create_task_group() as tasks:
        limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

        async def look_back(room_id: RoomId, place: EventId | None) -> None:
            async with limit:
                events = await read_back(transport, bot, room_id, batch.token, place)
            found[room_id] = left_to_answer(events, room_id, place, bot)

        for room_id, place in unsettled.items():
            tasks.start_soon(look_back, room_id, place)
    facts: list[Fact] = [fact for fact in batch.facts if not isinstance(fact, MESSAGES)]
    for room_id in unsettled:
        facts.extend(found[room_id])
    return replace(batch, facts=tuple(facts))


async def fetch_read_position(transport: Transport, bot: UserId, room_id: RoomId) -> EventId | None:
    """Return the bot's place in a room, as kept by the homeserver."""
    path = client_path("user", bot, "rooms", room_id, "account_data", "m.fully_read")
    try:
        return _place(await transport.request(Request("GET", path)))
    except RequestRefused:
        return None


def read_position_in_sync(room: Mapping[str, Any]) -> EventId | None:
    """Return the bot's place as a sync shows it with a joined room."""
    found = None
    for event in _events(room, "account_data"):
        if event.get("type") == "m.fully_read":
            found = _place(event.get("content")) or found
    return found


def is_settled(room: Mapping[str, Any], place: EventId | None) -> bool:
    """Whether a joined room's last message, if it has one, is the bot's place; what it says does not matter."""
    events = _events(room, "timeline")
    return not events or events[-1].get("event_id") == place


def _events(room: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    events = _dict(room.get(section)).get("events")
    return [event for event in events if type(event) is dict] if type(events) is list else []


def _place(content: object) -> EventId | None:
    event_id = _dict(content).get("event_id")
    return EventId(event_id) if is_id(event_id, "$") else None


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}

"""Goes back to where the bot was when there is no database to tell (contract D12).

A full sync without a token brings, of every room, only the last message that somebody else sent. Where that is
the bot's place (`m.fully_read`) the room is settled, which is so for all but a few. Only in the others history
is read back, to the place or the bot's own join; also where that last message is an edit or a notice, which asks
nothing, because a question may stand before it.
"""

from collections.abc import Iterator
from typing import Any

import anyio
from msgspec.structs import replace

from machines.facts import Fact, SyncBatch
from machines.ids import EventId, RoomId, UserId
from matrix.answered import MESSAGES
from matrix.calls import Call, client_path
from matrix.errors import RequestRefused
from matrix.events import is_id
from matrix.history import read_back
from matrix.observing import MAX_CONCURRENT_READS
from matrix.place import left_to_answer
from matrix.transport import Transport


async def resumed(
    transport: Transport, bot: UserId, batch: SyncBatch, response: object
) -> SyncBatch:
    """Return an initial batch with what is left to answer in place of the last messages."""
    places = dict(_places(response))
    open_rooms = [
        room_id for room_id, last in _last_messages(response) if places.get(room_id) != last
    ]
    found: dict[RoomId, tuple[Fact, ...]] = {}
    async with anyio.create_task_group() as tasks:
        limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

        async def look_back(room_id: RoomId) -> None:
            place = places.get(room_id)
            async with limit:
                events = await read_back(transport, bot, room_id, batch.token, place)
            found[room_id] = left_to_answer(events, room_id, place, bot)

        for room_id in open_rooms:
            tasks.start_soon(look_back, room_id)
    facts: list[Fact] = [fact for fact in batch.facts if not isinstance(fact, MESSAGES)]
    for room_id in open_rooms:
        facts.extend(found[room_id])
    return replace(batch, facts=tuple(facts))


async def place_in(transport: Transport, bot: UserId, room_id: RoomId) -> EventId | None:
    """Return the bot's place in a room, as kept by the homeserver."""
    path = client_path("user", bot, "rooms", room_id, "account_data", "m.fully_read")
    try:
        return _place(await transport.request(Call("GET", path)))
    except RequestRefused:
        return None


def _last_messages(response: object) -> Iterator[tuple[RoomId, object]]:
    """Yield the id of each room's last message; what that is does not matter here."""
    for room_id, events in _joined(response, "timeline"):
        if events:
            yield room_id, events[-1].get("event_id")


def _places(response: object) -> Iterator[tuple[RoomId, EventId]]:
    for room_id, events in _joined(response, "account_data"):
        for event in events:
            place = _place(event.get("content")) if event.get("type") == "m.fully_read" else None
            if place is not None:
                yield room_id, place


def _joined(response: object, section: str) -> Iterator[tuple[RoomId, list[dict[str, Any]]]]:
    for room_id, room in _dict(_dict(_dict(response).get("rooms")).get("join")).items():
        if is_id(room_id, "!"):
            events = _dict(_dict(room).get(section)).get("events")
            listed = events if type(events) is list else []
            yield RoomId(room_id), [event for event in listed if type(event) is dict]


def _place(content: object) -> EventId | None:
    event_id = _dict(content).get("event_id")
    return EventId(event_id) if is_id(event_id, "$") else None


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}

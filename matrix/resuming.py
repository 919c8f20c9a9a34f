"""Goes back to where the bot was when there is no database to tell (contract D12).

A full sync without a token brings, of every room, only the last message that somebody else sent. Where that is
the bot's place (`m.fully_read`) the room is settled, which is so for all but a few. Only in the others history
is read back, to the place or the bot's own join.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio

from machines.facts import EncryptedArrived, Fact, FileArrived, MessageArrived, SyncBatch
from machines.ids import EventId, RoomId, UserId
from matrix.calls import Call, client_path
from matrix.errors import RequestRefused
from matrix.events import is_id
from matrix.history import read_back
from matrix.observing import MAX_CONCURRENT_READS
from matrix.place import left_to_answer
from matrix.transport import Transport

_MESSAGE_FACTS = (MessageArrived, FileArrived, EncryptedArrived)


async def resumed(
    transport: Transport, bot: UserId, batch: SyncBatch, response: object
) -> SyncBatch:
    """Return an initial batch with what is left to answer in place of the last messages."""
    places = dict(_places(response))
    open_rooms = [
        RoomId(fact.room_id)
        for fact in batch.facts
        if isinstance(fact, _MESSAGE_FACTS) and places.get(fact.room_id) != fact.event_id
    ]
    found: dict[RoomId, tuple[Fact, ...]] = {}
    async with anyio.create_task_group() as tasks:
        limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

        async def look_back(room_id: RoomId) -> None:
            place = places.get(room_id)
            async with limit:
                events = await read_back(transport, bot, room_id, batch.token, place)
            found[room_id] = left_to_answer(events, room_id, place, bot)

        for room_id in dict.fromkeys(open_rooms):
            tasks.start_soon(look_back, room_id)
    facts: list[Fact] = [fact for fact in batch.facts if not isinstance(fact, _MESSAGE_FACTS)]
    for room_id in dict.fromkeys(open_rooms):
        facts.extend(found[room_id])
    return replace(batch, facts=tuple(facts))


async def place_in(transport: Transport, bot: UserId, room_id: RoomId) -> EventId | None:
    """Return the bot's place in a room, as kept by the homeserver."""
    path = client_path("user", bot, "rooms", room_id, "account_data", "m.fully_read")
    try:
        return _place(await transport.request(Call("GET", path)))
    except RequestRefused:
        return None


def _places(response: object) -> Iterator[tuple[RoomId, EventId]]:
    for room_id, room in _dict(_dict(_dict(response).get("rooms")).get("join")).items():
        events = _dict(_dict(room).get("account_data")).get("events")
        for event in events if type(events) is list else ():
            if _dict(event).get("type") == "m.fully_read":
                place = _place(_dict(event).get("content"))
                if place is not None:
                    yield RoomId(room_id), place


def _place(content: object) -> EventId | None:
    event_id = _dict(content).get("event_id")
    return EventId(event_id) if is_id(event_id, "$") else None


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}

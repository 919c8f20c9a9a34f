"""Reads history: what lies between two tokens (contract D4, fact 3), or since the bot's place (D12)."""

import json
from collections.abc import AsyncIterator
from typing import Any, TypeGuard

import structlog

from machines.errors import HistoryUnavailable, TokenUnknown
from machines.facts import Fact, Gap
from machines.ids import EventId, RoomId, SyncToken, UserId
from machines.orders import SendMessage
from matrix.errors import RequestRefused
from matrix.http.cleaning import clean_text
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.sync.decoding import decode_page
from matrix.sync.events import last_join_index, own_membership, previous_membership
from matrix.sync.filters import history_filter
from matrix.sync.replies import ANSWERS_KEY, PART_KEY

PAGE_SIZE = 100

# How far to go back for a place that is not found: a bound on memory, far beyond any real backlog.
MAX_EVENTS_BACK = 5000

# How far the homeserver's clock may be behind ours when a message is looked for by its time.
CLOCK_SKEW_S = 3600.0


async def pages(transport: Transport, bot: UserId, gap: Gap) -> AsyncIterator[tuple[Fact, ...]]:
    """Yield a gap's facts a page at a time, up to its end.

    What was sent before the bot's own join is left out (fact 4): where the join lies in the gap it is
    looked for first, because pages that come before it must not be yielded.

    Raises:
        TokenUnknown: the homeserver does not accept the gap's tokens.
        HistoryUnavailable: the homeserver fails at this history.
    """
    own: list[object] = []
    own_joins = json.dumps({"types": ["m.room.member"], "senders": [bot]})
    async for events in _raw_pages(transport, gap, own_joins):
        own += events
    index = last_join_index(own, bot, was_in=gap.was_in)
    arrival = _event_id(own[index]) if index >= 0 else None
    was_in = arrival is None
    async for events in _raw_pages(transport, gap, history_filter()):
        if arrival is not None:
            if arrival not in map(_event_id, events):
                continue
            arrival = None
        facts = decode_page(events, gap.room_id, bot, was_in=was_in)
        was_in = True
        if facts:
            yield facts


async def read_back(
    transport: Transport, bot: UserId, room_id: RoomId, start: SyncToken | None, place: str | None
) -> list[object]:
    """Return a room's history up to `start`, or to its end, oldest first, from the bot's place or its join on.

    A join event that does not tell what was before it may be a changed display name: an older membership tells.
    """
    newest_first: list[object] = []
    maybe_arrived = False
    query = {"dir": "b"} if start is None else {"from": str(start), "dir": "b"}
    try:
        async for events in _walk(transport, room_id, query, history_filter()):
            for event in events:
                newest_first.append(event)
                if place is not None and _event_id(event) == place:
                    return newest_first[::-1]
                membership = own_membership(event, bot)
                if membership is None or not isinstance(event, dict):
                    continue
                joined, before = membership.get("membership") == "join", previous_membership(event)
                if (maybe_arrived and not joined) or (joined and before not in (None, "join")):
                    return _from_arrival(newest_first[::-1], bot)
                maybe_arrived = joined
            if len(newest_first) >= MAX_EVENTS_BACK:
                break
    except RequestRefused as refused:
        # What was read so far is better than nothing; what was not read is not answered.
        structlog.get_logger().warning(
            "history_refused", room_id=room_id, errcode=refused.errcode, events=len(newest_first)
        )
    return _from_arrival(newest_first[::-1], bot)


def _from_arrival(events: list[object], bot: UserId) -> list[object]:
    return events[max(last_join_index(events, bot, was_in=False), 0) :]


async def find_sent(
    transport: Transport, bot: UserId, message: SendMessage, since: float
) -> EventId | None:
    """Look in a room's history for a message of the bot's, sent at `since` (epoch seconds) or later.

    A reply is known by what it answers and by its part (contract D2), any other message by its text.
    """
    own = json.dumps({"types": ["m.room.message"], "senders": [bot]})
    oldest_ms = (since - CLOCK_SKEW_S) * 1000
    try:
        async for events in _walk(transport, message.room_id, {"dir": "b"}, own):
            for event in filter(_is_dict, events):
                sent_at_ms = event.get("origin_server_ts")
                if isinstance(sent_at_ms, int) and sent_at_ms < oldest_ms:
                    return None
                event_id = _event_id(event)
                if event_id is not None and _is_same(event.get("content"), message):
                    return EventId(event_id)
    except RequestRefused:
        return None  # a room that can't be read can't be written either; sending says why
    return None


def _is_same(content: object, message: SendMessage) -> bool:
    if not isinstance(content, dict) or "m.new_content" in content:
        return False
    if content.get(ANSWERS_KEY) != message.answers or content.get(PART_KEY) != message.part:
        return False
    return message.answers is not None or content.get("body") == clean_text(message.body)


def _is_dict(event: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(event, dict)


async def _raw_pages(
    transport: Transport, gap: Gap, event_filter: str
) -> AsyncIterator[list[object]]:
    query = {"from": str(gap.since), "to": str(gap.before), "dir": "f"}
    try:
        async for events in _walk(transport, gap.room_id, query, event_filter):
            yield events
    except RequestRefused as refused:
        if refused.status == 400:
            raise TokenUnknown(
                f"the homeserver does not accept a gap's tokens ({refused.errcode})"
            ) from refused
        if refused.status not in (403, 404):
            raise HistoryUnavailable(
                f"the homeserver can't show it ({refused.status} {refused.errcode})"
            ) from refused
        # Forbidden or gone: the bot is not in that room any more, and can't answer there.


async def _walk(
    transport: Transport, room_id: RoomId, query: dict[str, str], event_filter: str
) -> AsyncIterator[list[object]]:
    """Yield pages from token to token, or from the end of the room, until the homeserver has no more."""
    start = query.get("from")
    while True:
        place = {"from": start} if start is not None else {}
        asked = query | place | {"limit": str(PAGE_SIZE), "filter": event_filter}
        page = await transport.request(
            Request("GET", client_path("rooms", room_id, "messages"), query=asked)
        )
        events = page.get("chunk") if isinstance(page, dict) else None
        if isinstance(events, list):
            yield events
        end = page.get("end") if isinstance(page, dict) else None
        # A server that does not move on would be asked for ever.
        if not isinstance(end, str) or end in (start, query.get("to")):
            return
        start = end


def _event_id(event: object) -> str | None:
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None

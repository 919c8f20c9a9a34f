"""Fills a gap from history: exactly what lies between two tokens, oldest first (contract D4, fact 3)."""

import json
from collections.abc import AsyncIterator

from machines.errors import TokenUnknown
from machines.facts import Fact, Gap
from machines.ids import UserId
from matrix.calls import Call, client_path
from matrix.decoding import decode_page
from matrix.errors import RequestRefused
from matrix.events import is_own_arrival
from matrix.filters import history_filter
from matrix.transport import Transport

PAGE_SIZE = 100


async def pages(transport: Transport, bot: UserId, gap: Gap) -> AsyncIterator[tuple[Fact, ...]]:
    """Yield a gap's facts a page at a time, up to its end.

    What was sent before the bot's own join is left out (fact 4): where the join lies in the gap it is
    looked for first, because pages that come before it must not be yielded.

    Raises:
        TokenUnknown: the homeserver does not accept the gap's tokens.
    """
    arrival: str | None = None
    own_joins = json.dumps({"types": ["m.room.member"], "senders": [bot]})
    async for events in _raw_pages(transport, gap, own_joins):
        for event in events:
            if is_own_arrival(event, bot):
                arrival = _event_id(event)
    async for events in _raw_pages(transport, gap, history_filter()):
        if arrival is not None:
            if arrival not in map(_event_id, events):
                continue
            arrival = None
        facts = decode_page(events, gap.room_id, bot)
        if facts:
            yield facts


async def _raw_pages(
    transport: Transport, gap: Gap, event_filter: str
) -> AsyncIterator[list[object]]:
    start: str = gap.since
    while True:
        query = {
            "from": start,
            "to": gap.before,
            "dir": "f",
            "limit": str(PAGE_SIZE),
            "filter": event_filter,
        }
        path = client_path("rooms", gap.room_id, "messages")
        try:
            page = await transport.request(Call("GET", path, query=query))
        except RequestRefused as refused:
            if refused.status == 400:
                raise TokenUnknown(
                    f"the homeserver does not accept a gap's tokens ({refused.errcode})"
                ) from refused
            return  # forbidden or gone: the bot is not in that room any more
        events = page.get("chunk") if isinstance(page, dict) else None
        if isinstance(events, list):
            yield events
        end = page.get("end") if isinstance(page, dict) else None
        # A server that does not move on would be asked for ever.
        if not isinstance(end, str) or end in (start, gap.before):
            return
        start = end


def _event_id(event: object) -> str | None:
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None

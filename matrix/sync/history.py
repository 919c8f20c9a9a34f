"""Reads room history: a gap between two tokens (contract D4, fact 3), or back to the read position (contract D12)."""

import json
from collections.abc import AsyncIterator

import structlog

from machines.errors import HistoryUnavailable, TokenUnknown
from machines.events.matrix import Gap, MatrixEvent
from machines.events.orders import SendMessage
from machines.ids import EventId, RoomId, SyncToken, UserId
from matrix.errors import RequestRefused
from matrix.http.cleaning import clean_text
from matrix.http.transport import Transport
from matrix.keys import ANSWERS_KEY, PART_KEY
from matrix.raw_events import as_dict
from matrix.sync.filters import history_filter
from matrix.sync.membership import last_join_index, own_membership, previous_membership
from matrix.sync.timeline import decode_page

PAGE_SIZE = 100

# How far to read back where the read position is not found: a limit for memory, far beyond any real backlog.
MAX_EVENTS_BACK = 5000

# How far the homeserver's clock may be behind ours when a sent message is searched for.
CLOCK_SKEW_S = 3600.0


async def read_gap(
    transport: Transport, bot: UserId, gap: Gap
) -> AsyncIterator[tuple[MatrixEvent, ...]]:
    """Yield the decoded events of a gap, one page at a time, up to its end.

    Events before the bot's own join are left out (fact 4). So the join is searched for in the gap first, because pages
    before it must not be yielded.

    Raises:
        TokenUnknown: the homeserver does not accept the gap's tokens.
        HistoryUnavailable: the homeserver can't return this history.
    """
    memberships: list[object] = []
    own_memberships = json.dumps({"types": ["m.room.member"], "senders": [bot]})
    async for events in _raw_pages(transport, gap, own_memberships):
        memberships += events
    index = last_join_index(memberships, bot, was_in=gap.was_in)
    join_id = _event_id(memberships[index]) if index >= 0 else None
    was_in = join_id is None
    async for events in _raw_pages(transport, gap, history_filter()):
        if join_id is not None:
            if join_id not in map(_event_id, events):
                continue
            join_id = None
        decoded = decode_page(events, gap.room_id, bot, was_in=was_in)
        was_in = True
        if decoded:
            yield decoded


async def read_back(
    transport: Transport, bot: UserId, room_id: RoomId, end: SyncToken | None, position: str | None
) -> list[object]:
    """Return a room's history up to `end`, or all of it, oldest first, from the read position or the bot's join on.

    A join event without the previous membership may be a changed display name; then an older membership decides.
    """
    newest_first: list[object] = []
    maybe_join = False
    query = {"dir": "b"} if end is None else {"from": str(end), "dir": "b"}
    try:
        async for events in _walk(transport, room_id, query, history_filter()):
            for event in events:
                newest_first.append(event)
                if position is not None and _event_id(event) == position:
                    return newest_first[::-1]
                membership = own_membership(event, bot)
                if membership is None or not isinstance(event, dict):
                    continue
                joined, before = membership.get("membership") == "join", previous_membership(event)
                if (maybe_join and not joined) or (joined and before not in (None, "join")):
                    return _from_join(newest_first[::-1], bot)
                maybe_join = joined
            if len(newest_first) >= MAX_EVENTS_BACK:
                break
    except RequestRefused as refused:
        # The messages that were read so far are answered, the others are not.
        structlog.get_logger().warning(
            "history_refused", room_id=room_id, errcode=refused.errcode, events=len(newest_first)
        )
    return _from_join(newest_first[::-1], bot)


def _from_join(events: list[object], bot: UserId) -> list[object]:
    return events[max(last_join_index(events, bot, was_in=False), 0) :]


async def find_sent(
    transport: Transport, bot: UserId, message: SendMessage, since: float
) -> EventId | None:
    """Search a room's history for a message of the bot, sent at `since` (epoch seconds) or later.

    A reply is identified by the message that it answers and its part (contract D2), any other message by its text.
    """
    own = json.dumps({"types": ["m.room.message"], "senders": [bot]})
    oldest_ms = (since - CLOCK_SKEW_S) * 1000
    try:
        async for events in _walk(transport, message.room_id, {"dir": "b"}, own):
            for event in map(as_dict, events):
                sent_at_ms = event.get("origin_server_ts")
                if isinstance(sent_at_ms, int) and sent_at_ms < oldest_ms:
                    return None
                event_id = _event_id(event)
                if event_id is not None and _is_same(event.get("content"), message):
                    return EventId(event_id)
    except RequestRefused:
        pass  # a room that can't be read can't be written to either; the request to send it returns the reason
    return None


def _is_same(content: object, message: SendMessage) -> bool:
    if not isinstance(content, dict) or "m.new_content" in content:
        return False
    if content.get(ANSWERS_KEY) != message.answers or content.get(PART_KEY) != message.part:
        return False
    return message.answers is not None or content.get("body") == clean_text(message.body)


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
        # Forbidden or not found: the bot is not in that room any more, and can't answer there.


async def _walk(
    transport: Transport, room_id: RoomId, query: dict[str, str], event_filter: str
) -> AsyncIterator[list[object]]:
    """Yield pages of raw events until the homeserver has no more; without `from`, start at the room's end."""
    start = query.get("from")
    while True:
        since = {"from": start} if start is not None else {}
        page_query = query | since | {"limit": str(PAGE_SIZE), "filter": event_filter}
        page = as_dict(await transport.get("rooms", room_id, "messages", query=page_query))
        events = page.get("chunk")
        if isinstance(events, list):
            yield events
        end = page.get("end")
        # A server that repeats its token would be asked forever.
        if not isinstance(end, str) or end in (start, query.get("to")):
            return
        start = end


def _event_id(event: object) -> str | None:
    event_id = as_dict(event).get("event_id")
    return event_id if isinstance(event_id, str) else None

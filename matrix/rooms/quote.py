"""Reads the message that a user replies to, for the agent (contract D18)."""

import json
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from machines.events.agent import Quoted
from machines.ids import EventId, RoomId, UserId
from matrix.http.cleaning import clean_text
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict
from matrix.sync.events import FILE_TYPES, without_fallback

QUOTE_BYTES = 4096
"""The largest `quoted` object, as JSON in UTF-8 (agent protocol)."""
_TEXT_BYTES = QUOTE_BYTES - len('{"by": "agent", "text": ""}')


async def read_quoted(
    transport: Transport, bot: UserId, room_id: RoomId, event_id: EventId
) -> Quoted | None:
    """Return the newest text of a message in this room; `None` if there is no such message, or it has no text."""
    # The homeserver refuses an event of another room here.
    event = await transport.get("rooms", room_id, "event", event_id, absent=ANY_STATUS)
    return quoted_of(event, bot)


def quoted_of(raw: object, bot: UserId) -> Quoted | None:
    """Return what a message says after its newest edit, which the homeserver adds to it; never raises."""
    event = as_dict(raw)
    if event.get("type") != "m.room.message" or "state_key" in event:
        return None
    text = _text_of(_newest_content(event))
    if not text.strip():
        return None
    return Quoted("agent" if event.get("sender") == bot else "user", cut_to_size(text))


def cut_to_size(text: str, limit_bytes: int = _TEXT_BYTES) -> str:
    """Return the beginning of a text that needs at most so many bytes inside a JSON string."""
    text = text[:limit_bytes]
    if _json_size(text) <= limit_bytes:
        return text
    sizes = range(len(text) + 1)
    return text[: bisect_right(sizes, limit_bytes, key=lambda end: _json_size(text[:end])) - 1]


def _json_size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - len('""')


def _newest_content(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content after the newest edit; an edit by somebody else is ignored (fact 15)."""
    content = as_dict(event.get("content"))
    edit = as_dict(as_dict(as_dict(event.get("unsigned")).get("m.relations")).get("m.replace"))
    edited = as_dict(edit.get("content")).get("m.new_content")
    same = (edit.get("sender"), edit.get("type")) == (event.get("sender"), event.get("type"))
    if same and type(edited) is dict:
        return edited
    body, reply = content.get("body"), as_dict(content.get("m.relates_to")).get("m.in_reply_to")
    if type(body) is str and reply is not None:
        return content | {"body": without_fallback(body)}
    return content


def _text_of(content: Mapping[str, Any]) -> str:
    """Return the text of a message; of a file its name, and its caption if it has one (fact 23)."""
    body, name = content.get("body"), content.get("filename")
    if type(body) is not str:
        return ""
    if content.get("msgtype") in FILE_TYPES and type(name) is str and name and name != body:
        body = f"{name}\n{body}"
    return clean_text(body)

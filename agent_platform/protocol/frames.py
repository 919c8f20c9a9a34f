"""Encodes requests and decodes frames: the wire format of the agent protocol.

Frames are untrusted data. A frame becomes a value of `machines.events.agent` that can be stored and sent on (no lone
surrogates, no `NaN`, no number or nesting that another JSON codec refuses), or a `ProtocolError`; no other exception is
raised. Text for people that is too long is cut (contract E13); an id or a path is refused instead, because a part of it
would name something else. Unknown frame types are ignored, as the protocol requires.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_platform.errors import ProtocolError
from agent_platform.protocol.parsing import parse_frame, type_name
from agent_platform.protocol.sanitize import sanitize_json, sanitize_line, sanitize_text
from agent_platform.surrogates import replace_surrogates
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFileOffer,
    AgentRequest,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    Frame,
)

MAX_CODE_CHARS = 100
MAX_DETAILS_CHARS = 2_000
MAX_ID_CHARS = 500
MAX_PATH_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class Status:
    """`STATUS`: the agent is ready. It is the first frame, and ignored later."""


def encode_request(request: AgentRequest) -> str:
    """Return the `USER_MESSAGE` frame; empty optional fields are left out."""
    message: dict[str, Any] = {
        "type": "USER_MESSAGE",
        "text": request.text,
        "attachments": list(request.attachments),
        "message_id": request.message_id,
    }
    if request.settings:
        message["settings"] = dict(request.settings)
    if answer := request.confirmation:
        message["confirmation"] = {"id": answer.id, "accepted": answer.accepted}
    if order := request.context:
        message["context"] = {"action": order.action, "name": order.name}
    if quoted := request.quoted:
        message["quoted"] = {"by": quoted.by, "text": quoted.text}
    return replace_surrogates(json.dumps(message, ensure_ascii=False, allow_nan=False))


def decode_frame(data: str) -> Frame | Status | None:
    """Return the value of one text frame, or None for an unknown frame type.

    Only the text of `AgentTextChunk` may still contain a lone surrogate: its other half may be in the next chunk, and
    `surrogates.SurrogateJoiner` joins the two.

    Raises:
        ProtocolError: the frame is too large, no JSON, no object, or lacks what its type needs.
    """
    frame = parse_frame(data)
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise ProtocolError(f"`type` must be a string, not {_type_of(frame, 'type')}")
    decode = _DECODERS.get(kind)
    return decode(frame) if decode else None


def _text_chunk(frame: Mapping[str, Any]) -> AgentTextChunk:
    return AgentTextChunk(_string(frame, "text"))


def _tool_call(frame: Mapping[str, Any]) -> AgentToolCall:
    return AgentToolCall(sanitize_line(_string(frame, "tool_name")))


def _tool_result(_frame: Mapping[str, Any]) -> AgentToolResult:
    # `result` is never shown, so it is not checked.
    return AgentToolResult()


_PAYLOAD_FIELDS = ("kind", "id", "title", "description", "text")


def _custom_update(frame: Mapping[str, Any]) -> AgentCustomUpdate:
    payload = frame.get("payload")
    kind = "AGENT_EVENT_CUSTOM_UPDATE"
    if not isinstance(payload, dict):
        raise ProtocolError(
            f"{kind}: `payload` must be an object, not {_type_of(frame, 'payload')}"
        )
    # The known fields come first, so that others can't use up the limit of values.
    known = {name: payload[name] for name in _PAYLOAD_FIELDS if name in payload}
    clean: dict[str, Any] = sanitize_json(known | payload)
    if clean.get("kind") == "confirmation":
        for name in ("id", "title", "description"):
            if not isinstance(clean.get(name), str):
                found = _type_of(clean, name)
                raise ProtocolError(f"{kind}: `payload.{name}` must be a string, not {found}")
        if not clean["id"]:
            raise ProtocolError(f"{kind}: `payload.id` must not be empty")
        if len(payload["id"]) > MAX_ID_CHARS:
            raise ProtocolError(f"{kind}: `payload.id` is longer than {MAX_ID_CHARS} characters")
        clean["title"] = sanitize_line(payload["title"])
        clean["description"] = sanitize_text(payload["description"])
    if isinstance(text := payload.get("text"), str):
        clean["text"] = sanitize_line(text)
    return AgentCustomUpdate(clean)


def _send_file(frame: Mapping[str, Any]) -> AgentFileOffer:
    path = replace_surrogates(_string(frame, "path"))
    if not path:
        raise ProtocolError("AGENT_EVENT_SEND_FILE: `path` must not be empty")
    if len(path) > MAX_PATH_CHARS:
        raise ProtocolError(
            f"AGENT_EVENT_SEND_FILE: `path` is longer than {MAX_PATH_CHARS} characters"
        )
    return AgentFileOffer(path)


def _end(frame: Mapping[str, Any]) -> AgentEnd:
    # A missing count does not invalidate a complete answer; a wrong one is a fault.
    tokens = frame.get("tokens_used", 0)
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        found = _type_of(frame, "tokens_used")
        raise ProtocolError(f"AGENT_EVENT_END: `tokens_used` must be a whole number, not {found}")
    if tokens < 0:
        raise ProtocolError("AGENT_EVENT_END: `tokens_used` must not be negative")
    return AgentEnd(tokens)


def _error(frame: Mapping[str, Any]) -> AgentError:
    code = sanitize_line(_string(frame, "code"), MAX_CODE_CHARS)
    if not code:
        raise ProtocolError("ERROR: `code` must not be empty")
    details = frame.get("details")
    match details:
        case None:
            text = ""
        case str():
            text = details
        case dict():
            # Sanitising comes first: it bounds the nesting, so json.dumps can't fail.
            text = json.dumps(sanitize_json(details), ensure_ascii=False)
        case _:
            found = type_name(details)
            raise ProtocolError(f"ERROR: `details` must be a string or an object, not {found}")
    return AgentError(code, sanitize_line(text, MAX_DETAILS_CHARS))


_DECODERS: Mapping[str, Callable[[Mapping[str, Any]], Frame | Status]] = {
    "STATUS": lambda _frame: Status(),
    "AGENT_EVENT_TEXT_CHUNK": _text_chunk,
    "AGENT_EVENT_TOOL_CALL_CHUNK": _tool_call,
    "AGENT_EVENT_TOOL_RESULT": _tool_result,
    "AGENT_EVENT_CUSTOM_UPDATE": _custom_update,
    "AGENT_EVENT_SEND_FILE": _send_file,
    "AGENT_EVENT_END": _end,
    "ERROR": _error,
}


def _string(frame: Mapping[str, Any], name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str):
        raise ProtocolError(
            f"{frame['type']}: `{name}` must be a string, not {_type_of(frame, name)}"
        )
    return value


def _type_of(fields: Mapping[str, Any], name: str) -> str:
    return type_name(fields[name]) if name in fields else "missing"

"""The wire format of the agent protocol: requests to JSON, JSON frames to values, nothing else.

What an agent sends is foreign data. A frame is either a value of `machines.talk` that is safe to
keep and to send on (no lone surrogates, no `NaN`, no number or nesting that the next JSON codec
could not carry), or a `ProtocolFault`; no other exception leaves this module, whatever the frame
holds. Text for people that is too long is cut (contract E13); a name that something goes by is not, because a part
of it is another name. Frame types that we do not know are ignored, as the protocol asks.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_platform.errors import ProtocolFault
from agent_platform.protocol.parsing import parse_frame, type_name
from agent_platform.protocol.sanitize import cleaned, one_line, paragraphs
from agent_platform.surrogates import without_surrogates
from machines.talk import (
    AgentEnded,
    AgentOffersFile,
    AgentRefused,
    AgentReported,
    AgentRequest,
    AgentSaid,
    AgentToolDone,
    AgentUsesTool,
    Frame,
)

MAX_CODE_CHARS = 100
MAX_DETAILS_CHARS = 2_000
MAX_ID_CHARS = 500
MAX_PATH_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class Ready:
    """`STATUS`: the agent is ready. It opens a conversation and means nothing later in it."""


def encode_request(request: AgentRequest) -> str:
    """Return the `USER_MESSAGE` frame; what is empty among our own fields is left out."""
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
    return without_surrogates(json.dumps(message, ensure_ascii=False, allow_nan=False))


def decode_frame(data: str) -> Frame | Ready | None:
    """Return what one text frame says, or None for a frame type that we do not know.

    The text of `AgentSaid` is the one string that may still hold a lone surrogate: an agent that
    cuts its answer into UTF-16 units can split a character between two chunks, and only
    `surrogates.PairJoiner` sees both.

    Raises:
        ProtocolFault: the frame is too large, no JSON, no object, or lacks what its type needs.
    """
    frame = parse_frame(data)
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise ProtocolFault(f"`type` must be a string, not {_named(frame, 'type')}")
    decode = _DECODERS.get(kind)
    return decode(frame) if decode else None


def _said(frame: Mapping[str, Any]) -> AgentSaid:
    return AgentSaid(_string(frame, "text"))


def _uses_tool(frame: Mapping[str, Any]) -> AgentUsesTool:
    return AgentUsesTool(one_line(_string(frame, "tool_name")))


def _tool_done(_frame: Mapping[str, Any]) -> AgentToolDone:
    # `result` is never shown, so that nothing is asked of it.
    return AgentToolDone()


_KNOWN = ("kind", "id", "title", "description", "text")


def _reported(frame: Mapping[str, Any]) -> AgentReported:
    payload = frame.get("payload")
    kind = "AGENT_EVENT_CUSTOM_UPDATE"
    if not isinstance(payload, dict):
        raise ProtocolFault(f"{kind}: `payload` must be an object, not {_named(frame, 'payload')}")
    # The fields that we know come first, or others could fill up what is kept.
    known = {name: payload[name] for name in _KNOWN if name in payload}
    clean: dict[str, Any] = cleaned(known | payload)
    if clean.get("kind") == "confirmation":
        for name in ("id", "title", "description"):
            if not isinstance(clean.get(name), str):
                found = _named(clean, name)
                raise ProtocolFault(f"{kind}: `payload.{name}` must be a string, not {found}")
        if not clean["id"]:
            raise ProtocolFault(f"{kind}: `payload.id` must not be empty")
        if len(payload["id"]) > MAX_ID_CHARS:
            raise ProtocolFault(f"{kind}: `payload.id` is longer than {MAX_ID_CHARS} characters")
        clean["title"] = one_line(payload["title"])
        clean["description"] = paragraphs(payload["description"])
    if isinstance(text := payload.get("text"), str):
        clean["text"] = one_line(text)
    return AgentReported(clean)


def _offers_file(frame: Mapping[str, Any]) -> AgentOffersFile:
    path = without_surrogates(_string(frame, "path"))
    if not path:
        raise ProtocolFault("AGENT_EVENT_SEND_FILE: `path` must not be empty")
    if len(path) > MAX_PATH_CHARS:
        raise ProtocolFault(
            f"AGENT_EVENT_SEND_FILE: `path` is longer than {MAX_PATH_CHARS} characters"
        )
    return AgentOffersFile(path)


def _ended(frame: Mapping[str, Any]) -> AgentEnded:
    # A complete answer is not thrown away because its count is missing; a wrong count is a fault.
    tokens = frame.get("tokens_used", 0)
    if isinstance(tokens, bool) or not isinstance(tokens, int):
        found = _named(frame, "tokens_used")
        raise ProtocolFault(f"AGENT_EVENT_END: `tokens_used` must be a whole number, not {found}")
    if tokens < 0:
        raise ProtocolFault("AGENT_EVENT_END: `tokens_used` must not be negative")
    return AgentEnded(tokens)


def _refused(frame: Mapping[str, Any]) -> AgentRefused:
    code = one_line(_string(frame, "code"), MAX_CODE_CHARS)
    if not code:
        raise ProtocolFault("ERROR: `code` must not be empty")
    details = frame.get("details")
    match details:
        case None:
            text = ""
        case str():
            text = details
        case dict():
            # Cleaned first: nesting is bounded there, so that writing it can't fail.
            text = json.dumps(cleaned(details), ensure_ascii=False)
        case _:
            found = type_name(details)
            raise ProtocolFault(f"ERROR: `details` must be a string or an object, not {found}")
    return AgentRefused(code, one_line(text, MAX_DETAILS_CHARS))


_DECODERS: Mapping[str, Callable[[Mapping[str, Any]], Frame | Ready]] = {
    "STATUS": lambda _frame: Ready(),
    "AGENT_EVENT_TEXT_CHUNK": _said,
    "AGENT_EVENT_TOOL_CALL_CHUNK": _uses_tool,
    "AGENT_EVENT_TOOL_RESULT": _tool_done,
    "AGENT_EVENT_CUSTOM_UPDATE": _reported,
    "AGENT_EVENT_SEND_FILE": _offers_file,
    "AGENT_EVENT_END": _ended,
    "ERROR": _refused,
}


def _string(frame: Mapping[str, Any], name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str):
        raise ProtocolFault(
            f"{frame['type']}: `{name}` must be a string, not {_named(frame, name)}"
        )
    return value


def _named(fields: Mapping[str, Any], name: str) -> str:
    return type_name(fields[name]) if name in fields else "missing"

"""Parses the text of a frame as JSON in a bounded time.

A frame may have 4 MiB. To create Python objects for two million small values would block the event loop for most of a
second. Of a frame with very many values only the protocol's fields are parsed, and a field that itself has very many
values is left empty.
"""

import json
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from agent_platform.errors import ProtocolError

MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_NUMBER = 2**53 - 1
"""The largest whole number that every JSON codec represents exactly."""
MAX_PARSED_VALUES = 20_000
"""Maximum number of values of a frame that become objects, which takes a few milliseconds."""
MAX_RAW_DETAILS_CHARS = 2_000


class _Payload(msgspec.Struct):
    kind: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    title: Raw | UnsetType = UNSET
    description: Raw | UnsetType = UNSET
    text: Raw | UnsetType = UNSET


class _Frame(msgspec.Struct):
    type: Raw | UnsetType = UNSET
    text: Raw | UnsetType = UNSET
    tool_name: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    path: Raw | UnsetType = UNSET
    tokens_used: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    details: Raw | UnsetType = UNSET


_FRAME = msgspec.json.Decoder(_Frame)
_PAYLOAD = msgspec.json.Decoder(_Payload)


def parse_frame(data: str) -> dict[str, Any]:
    """Return the fields of a frame; with very many values, only the fields of the protocol.

    Raises:
        ProtocolError: the frame is too large, no JSON, or no object.
    """
    # A character has at most four bytes: the exact size is needed only near the limit.
    if len(data) * 4 > MAX_FRAME_BYTES and (
        len(data.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES
    ):
        raise ProtocolError("the frame is larger than 4 MiB")
    if _has_many_values(data) and data.lstrip().startswith("{"):
        return _known_fields(_FRAME, data)
    frame = _parse_json(data)
    if not isinstance(frame, dict):
        raise ProtocolError(f"the frame must be an object, not {type_name(frame)}")
    return frame


def type_name(value: Any) -> str:
    """Return the JSON name of a value's type, with an article."""
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


def _has_many_values(data: str) -> bool:
    return len(data) > MAX_PARSED_VALUES and sum(map(data.count, ",[{")) > MAX_PARSED_VALUES


def _known_fields(decoder: msgspec.json.Decoder[Any], data: str) -> dict[str, Any]:
    try:
        found = decoder.decode(data)
    except RecursionError:
        raise ProtocolError("the frame is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError):
        raise ProtocolError("the frame is not JSON") from None
    fields = msgspec.structs.asdict(found)
    return {name: _field(name, raw) for name, raw in fields.items() if raw is not UNSET}


def _field(name: str, raw: Raw) -> Any:
    data = bytes(raw).decode()
    if data[0] not in "[{" or not _has_many_values(data):
        return _parse_json(data)
    if name == "payload" and data[0] == "{":
        return _known_fields(_PAYLOAD, data)
    if name == "details" and data[0] == "{":
        return data[:MAX_RAW_DETAILS_CHARS]
    return {} if data[0] == "{" else []


def _parse_json(data: str) -> Any:
    try:
        return json.loads(
            data, parse_int=_whole_number, parse_float=_fraction, parse_constant=_no_constant
        )
    except RecursionError:
        raise ProtocolError("the frame is nested too deeply") from None
    except ValueError:
        raise ProtocolError("the frame is not JSON") from None


def _whole_number(digits: str) -> int:
    # A longer number is too large in any case, and int() is slow for it or refuses it.
    if len(digits) > 20 or abs(number := int(digits)) > MAX_NUMBER:
        raise ProtocolError("the frame holds a number that is too large")
    return number


def _fraction(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ProtocolError("the frame holds a number that is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ProtocolError(f"the frame holds {name}, which JSON does not have")

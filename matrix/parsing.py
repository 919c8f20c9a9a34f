"""JSON from the homeserver, read so that nothing a user can put into an event stops the bot.

msgspec's parser is the fastest and refuses some of what the homeserver may send, half a surrogate pair for one;
that is left to Python's own. Two things neither survives can be caused by a message: nesting deeper than the
interpreter's stack, and integers of more than 4 300 digits. Only when one of these happens the body is read with
care: what is nested too deep, and what is too long to be a number, becomes null; the rest goes on (contract D9).
"""

import json
import re
from typing import Any

import msgspec

from matrix.errors import Unreachable

ROOM_BYTES = 5 * 1024 * 1024
"""The longest text of one room in a sync that is read: a Space of 10 000 chats has 4 MB, and the densest text of this
length takes 100 ms to parse, during which the thread keeps the interpreter to itself."""
MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 32

_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_REFUSED_BY_MSGSPEC = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse_json(body: bytes | msgspec.Raw) -> Any:
    """Parse JSON from the homeserver.

    Raises:
        Unreachable: it is not JSON: cut off, or not from a homeserver.
    """
    try:
        return msgspec.json.decode(body)
    except _REFUSED_BY_MSGSPEC:
        return _parse_with_care(bytes(body))


def parse_answer(body: bytes) -> Any:
    """Parse the answer to a request.

    Raises:
        Unreachable: it is not a homeserver's.
    """
    content = parse_json(body)
    if not isinstance(content, dict | list):
        raise Unreachable("broken", "the answer is not a JSON object")
    return content


def parse_sync(body: bytes) -> Any:
    """Parse a sync response but for its joined rooms, which stay text for `parse_json` to read one by one.

    The trees of many rooms, all at once, take five times the memory of their text.

    Raises:
        Unreachable: it is not a homeserver's, or has no `next_batch`.
    """
    response = _in_pieces(body)
    token = response.get("next_batch") if isinstance(response, dict) else None
    if not (isinstance(token, str) and token):
        raise Unreachable("broken", "the answer has no next_batch")
    return response


def _in_pieces(body: bytes) -> Any:
    try:
        response = _pieces(body)
        rooms = _pieces(response.pop("rooms", b"{}"))
        joined = _pieces(rooms.pop("join", b"{}"))
    except _REFUSED_BY_MSGSPEC:
        return parse_json(body)
    sections = {name: parse_json(section) for name, section in rooms.items()}
    parts = {name: parse_json(part) for name, part in response.items()}
    return parts | {"rooms": sections | {"join": joined}}


def _parse_with_care(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        pass
    except RecursionError:
        body = _without_depth(body)
    except ValueError:
        # Not UTF-8, or an integer beyond Python's limit.
        pass
    try:
        return json.loads(body.decode(errors="replace"), parse_int=_bounded_int)
    except ValueError:
        raise Unreachable("broken", "the answer is not valid JSON") from None
    except RecursionError:
        raise Unreachable("broken", "the answer is nested too deeply") from None


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_NUMBER_LENGTH else None


def _without_depth(body: bytes) -> bytes:
    """Replace everything nested deeper than `MAX_DEPTH` by null."""
    kept: list[bytes] = []
    depth = 0
    copied_to = 0
    for token in _TOKENS.finditer(body):
        mark = token.group()
        if mark in b"[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(body[copied_to : token.start()])
        elif mark in b"]}":
            if depth == MAX_DEPTH + 1:
                kept.append(b"null")
                copied_to = token.end()
            depth -= 1
    if depth <= MAX_DEPTH:
        kept.append(body[copied_to:])
    return b"".join(kept)

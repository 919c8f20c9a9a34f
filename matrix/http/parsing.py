"""Parses JSON from the homeserver so that nothing a user can put into an event stops the bot (contract D9).

msgspec's parser is the fastest, but refuses some valid JSON, such as half a surrogate pair; Python's parser then
takes over. Neither can parse nesting deeper than the interpreter's stack, or integers of more than 4 300 digits, and a
message can contain both. Only then, values that are nested too deep and numbers that are too long become null.
"""

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from matrix.errors import Unreachable

ROOM_BYTES = 5 * 1024 * 1024
"""The longest text of one room in a sync that is read. A Space of 10 000 chats has 4 MB. The densest text of this
length needs 100 ms to parse, during which the parser's thread holds the interpreter lock."""
MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 32

_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_REFUSED_BY_MSGSPEC = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection while a large response is parsed or a long text is rendered.

    The collector would traverse the growing tree again and again, for two thirds of the time, and find no
    garbage in it. From any thread it also blocks the event loop: for 100 ms where the tree is large.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()


def parse_json(body: bytes | msgspec.Raw) -> Any:
    """Parse JSON from the homeserver.

    Raises:
        Unreachable: it is not JSON: it was cut off, or does not come from a homeserver.
    """
    try:
        return msgspec.json.decode(body)
    except _REFUSED_BY_MSGSPEC:
        return _parse_defensively(bytes(body))


def parse_response(body: bytes) -> Any:
    """Parse the body of a response.

    Raises:
        Unreachable: it does not come from a homeserver.
    """
    content = parse_json(body)
    if not isinstance(content, dict | list):
        raise Unreachable(
            "broken", "the answer is not a homeserver's: another server may listen at this URL"
        )
    return content


def parse_sync(body: bytes) -> Any:
    """Parse a sync response except its joined rooms, which stay text, to be parsed one by one.

    The parsed trees of all rooms together would need five times the memory of their text.

    Raises:
        Unreachable: it does not come from a homeserver, or has no `next_batch`.
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


def _parse_defensively(body: bytes) -> Any:
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
        raise Unreachable(
            "broken", "the answer is cut off, or not a homeserver's (no JSON)"
        ) from None
    except RecursionError:
        raise Unreachable("broken", "the answer is nested too deeply") from None


def _bounded_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_NUMBER_LENGTH else None


def _without_depth(body: bytes) -> bytes:
    """Replace everything nested deeper than `MAX_DEPTH` by null."""
    parts: list[bytes] = []
    depth = 0
    copied_to = 0
    for token in _TOKENS.finditer(body):
        mark = token.group()
        if mark in b"[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts.append(body[copied_to : token.start()])
        elif mark in b"]}":
            if depth == MAX_DEPTH + 1:
                parts.append(b"null")
                copied_to = token.end()
            depth -= 1
    if depth <= MAX_DEPTH:
        parts.append(body[copied_to:])
    return b"".join(parts)

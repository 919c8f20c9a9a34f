"""Removes from outgoing text and JSON what a homeserver can't process (contract D9).

Synapse answers 500, at every retry, to a body with a lone surrogate or a number that is not finite. Room versions since
6 accept no numbers but integers within ±(2**53 - 1) (Matrix spec, canonical JSON). Text of users and agents may
contain any of these, so every body is cleaned before it is sent.
"""

import re
from typing import Any

LARGEST_INT = 2**53 - 1

_UNSENDABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean_text(text: str) -> str:
    """Return `text` without control characters other than newline and tab.

    A carriage return becomes a newline, and a lone surrogate becomes U+FFFD. A surrogate pair, as when an agent's
    chunks are split inside a character, becomes its character. The result needs no more UTF-8 bytes than the text,
    where a surrogate counts as three.
    """
    if not _UNSENDABLE.search(text):
        return text
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean_json(value: Any) -> Any:
    """Return a JSON value with all strings and keys cleaned, and all numbers as integers.

    A float without a fraction becomes an integer; any other float, and an integer out of range,
    becomes its decimal text, so that no reader rounds it.

    Raises:
        TypeError: the value is not a JSON value.
    """
    match value:
        case str():
            return clean_text(value)
        case None | bool():
            return value
        case int():
            return value if abs(value) <= LARGEST_INT else _digits(value)
        case float():
            whole = value.is_integer() and abs(value) <= LARGEST_INT
            return int(value) if whole else str(value)
        case dict():
            return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
        case list() | tuple():
            return [clean_json(item) for item in value]
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def _digits(number: int) -> str:
    """Write an integer of any size; Python refuses to write very long ones in decimal."""
    return str(number) if number.bit_length() < 4096 else hex(number)

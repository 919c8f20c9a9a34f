"""Which to-device messages are kept for encryption: known types, of a size that such a message has (contract D14).

Anybody on Matrix can send the bot such messages, of any type. In plaintext only these mean anything (Matrix spec,
"End-to-end encryption"): an Olm message, which is how every key and secret travels (`m.room_key`,
`m.forwarded_room_key`, `m.secret.send`, `m.dummy`, a bundle of room keys), the word that a key is withheld, and a
request for a key. A key that comes in plaintext is forged.
"""

from typing import Any

from msgspec import json

from machines.facts import KeyMessage
from machines.ids import UserId
from matrix.http.parsing import nested_deeper_than
from matrix.raw_events import is_id
from matrix.sync.fields import Undecodable

TYPES = frozenset(
    {
        "m.room.encrypted",
        "m.room_key.withheld",
        "org.matrix.room_key.withheld",
        "m.room_key_request",
    }
)
MAX_BYTES = 16 * 1024
"""An Olm message with a room key has 2 kB; one with a bundle of secrets not twice as much."""

# Olm messages nest four levels; the journal's encoder must never meet a bottomless one.
_MAX_DEPTH = 16


def sender_of(message: object) -> UserId | None:
    """Return who sent a to-device message; the homeserver vouches for it."""
    sender = message.get("sender") if type(message) is dict else None
    return UserId(sender) if is_id(sender, "@") else None


def key_message(message: object) -> KeyMessage:
    """Return a to-device message that is worth keeping.

    Raises:
        Undecodable: it is not.
    """
    if type(message) is not dict or type(message.get("type")) is not str:
        raise Undecodable("the key message is not an object with a type")
    if message["type"] not in TYPES:
        raise Undecodable("to-device messages of this type are not kept")
    sender = sender_of(message)
    if sender is None:
        raise Undecodable("the key message does not say who sent it")
    if type(message.get("content")) is not dict:
        raise Undecodable("the key message has no content")
    if nested_deeper_than(message, _MAX_DEPTH):
        raise Undecodable("the key message is nested too deeply")
    payload = _encoded(message)
    if len(payload) > MAX_BYTES:
        raise Undecodable("the key message is too large")
    return KeyMessage(sender, message["type"], payload.decode())


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return json.encode(message)
    except (ValueError, TypeError, OverflowError) as error:
        raise Undecodable("the key message holds what JSON can't") from error

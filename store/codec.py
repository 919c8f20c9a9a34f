"""Encodes values as JSON text and decodes them: stored events, orders and turns.

An event or an order has an explicit tag (`machines/events/tags.py`); each of the two unions has one typed decoder.
Every other value is read as the class of its column.
"""

from typing import Any, TypeVar

import msgspec

from machines.events.internal import InboxEvent
from machines.events.orders import Order
from store.errors import DatabaseUnusable, UnitRefused

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_events: msgspec.json.Decoder[InboxEvent] = msgspec.json.Decoder(InboxEvent)
_orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def dump(value: object) -> str:
    """Return a value as JSON text.

    Raises:
        UnitRefused: JSON can't represent it. The decoder of its source should have refused or cleaned it.
    """
    try:
        return _encoder.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise UnitRefused(f"{type(value).__name__} can't be saved: {error}") from error


def read_event(text: str) -> InboxEvent:
    """Return the event of an inbox row.

    Raises:
        DatabaseUnusable: the text is not an event (a damaged row, or one of another version).
    """
    return _read(_events, text, "event")


def read_order(text: str) -> Order:
    """Return the order of an outbox row.

    Raises:
        DatabaseUnusable: the text is not an order (a damaged row, or one of another version).
    """
    return _read(_orders, text, "order")


def read(cls: type[T], text: str) -> T:
    """Return the value of a column that stores one class as JSON text.

    Raises:
        DatabaseUnusable: the text is not such a value (a damaged row, or one of another version).
    """
    decoder = _decoders.get(cls)
    if decoder is None:
        decoder = _decoders[cls] = msgspec.json.Decoder(cls)
    value: T = _read(decoder, text, cls.__name__)
    return value


def _read(decoder: msgspec.json.Decoder[T], text: str, what: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DatabaseUnusable(f"a stored {what} can't be read ({error})") from error

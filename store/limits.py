"""Bounds on what strangers make the bot keep: key messages, and the log of what could not be decoded (contract D14).

Each table has a bound for one place (a sender, or a room) and one for all. A place that is over its own bound loses its
oldest rows. Where all of them together are over, no place keeps more than a level that is the same for all: whoever
sends much loses their own rows, and never pushes out those of somebody who sent little.

Runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from machines.facts import KeyMessage, Quarantined
from store.queries import SQL

KEYS_OF_A_SENDER = 500
KEY_BYTES_OF_A_SENDER = 1024 * 1024
KEYS = 10_000
KEY_BYTES = 16 * 1024 * 1024
QUARANTINED_OF_A_PLACE = 1_000
QUARANTINED = 10_000
LITTLE = 10
"""Where nobody holds more than this, it is the oldest rows of all that go."""


def keep_key_messages(raw: sqlite3.Connection, messages: Iterable[KeyMessage], at: float) -> None:
    """Store key messages, and forget what is over the bounds."""
    senders = set()
    for message in messages:
        senders.add(message.sender)
        raw.execute(
            SQL["put_to_device"],
            {
                "sender": message.sender,
                "type": message.type,
                "size": len(message.payload.encode()),
                "payload": message.payload,
                "at": at,
            },
        )
    for sender in senders:
        _trim_keys(raw, sender, KEYS_OF_A_SENDER, KEY_BYTES_OF_A_SENDER)
    if senders:
        _lower_keys(raw)


def _lower_keys(raw: sqlite3.Connection) -> None:
    count, size = raw.execute(SQL["count_to_device"]).fetchone()
    if count <= KEYS and size <= KEY_BYTES:
        return
    holders = raw.execute(SQL["holders_of_to_device"]).fetchall()
    counts = level([row["count"] for row in holders], KEYS)
    sizes = level([row["size"] for row in holders], KEY_BYTES)
    little_each = LITTLE * KEY_BYTES // KEYS
    if (count > KEYS and counts < LITTLE) or (size > KEY_BYTES and sizes < little_each):
        raw.execute(SQL["drop_oldest_to_device"], {"count": count // 10})
        return
    for row in holders:
        if row["count"] > counts or row["size"] > sizes:
            _trim_keys(raw, row["sender"], counts, sizes)


def _trim_keys(raw: sqlite3.Connection, sender: str, count: int, size: int) -> None:
    raw.execute(SQL["trim_to_device"], {"sender": sender, "count": count, "size": size})


def quarantine(raw: sqlite3.Connection, items: Iterable[Quarantined], at: float) -> None:
    """Note what could not be decoded, and forget what is over the bounds."""
    places = set()
    for item in items:
        place = item.room_id or item.sender or ""
        places.add(place)
        values = {
            "source": item.source,
            "room_id": item.room_id,
            "event_id": item.event_id,
            "reason": item.reason,
            "sender": item.sender,
            "times": item.times,
            "at": at,
            "place": place,
        }
        if item.source == "to_device" and raw.execute(SQL["count_again"], values).rowcount:
            continue
        raw.execute(SQL["put_quarantine"], values)
    for place in places:
        _trim_quarantine(raw, place, QUARANTINED_OF_A_PLACE)
    if places:
        _lower_quarantine(raw)


def _lower_quarantine(raw: sqlite3.Connection) -> None:
    total = raw.execute(SQL["count_quarantine"]).fetchone()[0]
    if total <= QUARANTINED:
        return
    holders = raw.execute(SQL["holders_of_quarantine"]).fetchall()
    highest = level([row["count"] for row in holders], QUARANTINED)
    if highest < LITTLE:
        raw.execute(SQL["drop_oldest_quarantine"], {"count": total // 10})
        return
    for row in holders:
        if row["count"] > highest:
            _trim_quarantine(raw, row["place"], highest)


def _trim_quarantine(raw: sqlite3.Connection, place: str, count: int) -> None:
    raw.execute(SQL["trim_quarantine"], {"place": place, "count": count})


def level(holdings: Sequence[int], bound: int) -> int:
    """Return how much each may hold at most, so that all together stay a tenth below the bound.

    The tenth is room for what comes next, which would be counted anew each time.
    """
    target = bound - bound // 10
    low, high = 0, max(holdings, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(held, middle) for held in holdings) <= target:
            low = middle
        else:
            high = middle - 1
    return low

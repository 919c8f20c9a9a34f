"""What could not be decoded: a bounded log of it (contracts D9, D14).

An entry belongs to a room or, where no room is known, to a sender. Each of them has a bound, and all together have one.
One that is over its own bound loses its oldest entries. Where all together are over theirs, no one keeps more than a
level that is the same for all: those with many entries lose entries, and those with few keep theirs.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from machines.events.matrix import Quarantined
from store.queries import SQL

MOST_OF_ONE = 1_000
MOST_OF_ALL = 10_000
FEW = 10
"""Where the common level would be lower than this, the oldest entries of all go instead."""


def keep(raw: sqlite3.Connection, items: Iterable[Quarantined], at: float) -> None:
    """Add entries, and delete those over the bounds. To-device messages that repeat are counted in one entry."""
    origins = set()
    for item in items:
        origin = item.room_id or item.sender or ""
        origins.add(origin)
        values = {
            "source": item.source,
            "room_id": item.room_id,
            "event_id": item.event_id,
            "reason": item.reason,
            "sender": item.sender,
            "times": item.times,
            "at": at,
            "origin": origin,
        }
        if item.source == "to_device" and raw.execute(SQL["count_again"], values).rowcount:
            continue
        raw.execute(SQL["put_quarantine"], values)
    for origin in origins:
        _trim(raw, origin, MOST_OF_ONE)
    if origins:
        _trim_all(raw)


def _trim_all(raw: sqlite3.Connection) -> None:
    total = raw.execute(SQL["count_quarantine"]).fetchone()[0]
    if total <= MOST_OF_ALL:
        return
    holders = raw.execute(SQL["holders_of_quarantine"]).fetchall()
    most = level([row["count"] for row in holders], MOST_OF_ALL)
    if most < FEW:
        raw.execute(SQL["drop_oldest_quarantine"], {"count": total // 10})
        return
    for row in holders:
        if row["count"] > most:
            _trim(raw, row["origin"], most)


def _trim(raw: sqlite3.Connection, origin: str, count: int) -> None:
    raw.execute(SQL["trim_quarantine"], {"origin": origin, "count": count})


def level(holdings: Sequence[int], bound: int) -> int:
    """Return how much each may hold at most, so that all together stay a tenth below the bound.

    The tenth leaves room for the next entries: without it, each of them would start a new count.
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

"""The quarantine: a bounded log of events that could not be decoded (contracts D9, D14).

The origin of an entry is a room or, if no room is known, a sender. There is a maximum for each origin and one for all.
An origin over its maximum loses its oldest entries. If the total is over its maximum, a common limit applies to every
origin: those with many entries lose entries, and those with few lose none.

Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from msgspec.structs import asdict

from machines.events.matrix import Quarantined
from store.queries import SQL

MAX_PER_ORIGIN = 1_000
MAX_TOTAL = 10_000
MIN_COMMON_LIMIT = 10
"""If the common limit would be lower than this, the oldest entries of all origins are deleted instead."""


def add(raw: sqlite3.Connection, items: Iterable[Quarantined], at: float) -> None:
    """Add entries, and delete those over the bounds. To-device messages that repeat are counted in one entry."""
    origins = set()
    for item in items:
        origin = item.room_id or item.sender or ""
        origins.add(origin)
        values = {**asdict(item), "at": at, "origin": origin}
        if item.source == "to_device" and raw.execute(SQL["count_again"], values).rowcount:
            continue
        raw.execute(SQL["put_quarantine"], values)
    for origin in origins:
        _trim(raw, origin, MAX_PER_ORIGIN)
    if origins:
        _trim_all(raw)


def _trim_all(raw: sqlite3.Connection) -> None:
    total = raw.execute(SQL["count_quarantine"]).fetchone()[0]
    if total <= MAX_TOTAL:
        return
    origins = raw.execute(SQL["origins_of_quarantine"]).fetchall()
    limit = common_limit([row["count"] for row in origins], MAX_TOTAL)
    if limit < MIN_COMMON_LIMIT:
        raw.execute(SQL["drop_oldest_quarantine"], {"count": total // 10})
        return
    for row in origins:
        if row["count"] > limit:
            _trim(raw, row["origin"], limit)


def _trim(raw: sqlite3.Connection, origin: str, count: int) -> None:
    raw.execute(SQL["trim_quarantine"], {"origin": origin, "count": count})


def common_limit(counts: Sequence[int], maximum: int) -> int:
    """Return the largest limit for each origin that keeps the total a tenth below `maximum`.

    Without this margin, each further entry would trim all origins again.
    """
    target = maximum - maximum // 10
    low, high = 0, max(counts, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(count, middle) for count in counts) <= target:
            low = middle
        else:
            high = middle - 1
    return low

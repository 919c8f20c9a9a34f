"""Events journalled a second, in sync batches of a hundred, each batch one durable transaction.

The floor is SQLite alone: the same finished rows into one table. The other comparison is one commit for each event.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from machines.events.matrix import MessageArrived, SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from store import Journal
from store.codec import dump
from store.database import open_database
from tests.bench.figures import BenchFailed, Comparison, Figure

TITLE = "Journal (synchronous=FULL)"
_EVENTS = 20_000
_SINGLE_EVENTS = 1_000
_BATCH = 100


def measure() -> Iterator[Figure]:
    """Measure the journal in batches and one by one, and a bare table."""
    events = _events(_EVENTS)
    with TemporaryDirectory() as name:
        folder = Path(name)
        ours = anyio.run(_journalled, folder / "batches.db", events, _BATCH)
        singles = anyio.run(_journalled, folder / "singles.db", events[:_SINGLE_EVENTS], 1)
        floor = _bare(folder / "bare.db", events)
    beside = (
        Comparison("bare executemany (floor)", floor),
        Comparison("one commit an event", singles),
    )
    yield Figure(f"events journalled, {_BATCH} a sync", ours, "/s", beside)


def _events(count: int) -> list[MessageArrived]:
    return [
        MessageArrived(
            RoomId(f"!room{number % 50:0>40}"),
            EventId(f"${number:0>43}"),
            UserId("@ann:localhost"),
            f"message {number}",
            1_700_000_000_000 + number,
        )
        for number in range(count)
    ]


async def _journalled(path: Path, events: Sequence[MessageArrived], batch: int) -> float:
    database = await open_database(path)
    try:
        journal = Journal(database)
        began = time.perf_counter()
        stored = 0
        for start in range(0, len(events), batch):
            sync = SyncBatch(SyncToken(f"s{start}"), tuple(events[start : start + batch]))
            stored += len(await journal.save_sync_batch(sync, 0.0))
        seconds = time.perf_counter() - began
    finally:
        await database.close()
    if stored != len(events):
        raise BenchFailed(f"{stored} of {len(events)} events were journalled")
    return len(events) / seconds


def _bare(path: Path, events: Sequence[MessageArrived]) -> float:
    rows = [(event.room_id, event.event_id, dump(event), 0.0) for event in events]
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute(
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, actor TEXT, event_id TEXT UNIQUE,"
        " payload TEXT, at REAL)"
    )
    insert = "INSERT INTO events (actor, event_id, payload, at) VALUES (?, ?, ?, ?)"
    began = time.perf_counter()
    for start in range(0, len(rows), _BATCH):
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(insert, rows[start : start + _BATCH])
        raw.execute("COMMIT")
    seconds = time.perf_counter() - began
    raw.close()
    return len(rows) / seconds

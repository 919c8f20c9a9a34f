"""`python -m tests.store.dump NNNN`: store a dump of schema version NNNN, with rows in it.

Run it before the next migration is written: the program of that version writes the rows.
"""

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from machines.events.matrix import Gap, Quarantined, SyncBatch
from machines.ids import ActorKey, AgentId, EventId, RoomId, SyncToken
from store import Journal
from store.database import migrations, open_database
from store.records import FailedTurn, FinishedOrder, UnitOfWork
from tests.store.journalled import MATRIX_EVENTS, ORDERS, ROOM, ROOM_EVENTS, USER_EVENTS, USER_KEY
from tests.store.values import ANNA, KEY, PREFERENCES, ROOMS, TURN, USERS, message, order

DEALT_WITH = "!dealt_with"
GAP = Gap(RoomId("!gap"), SyncToken("s0"), SyncToken("s1"), was_in=True)
FAILED = FailedTurn("!chat", 1.0, EventId("$failed"), AgentId("writer"), "silent", "nothing came")


async def fill(path: Path) -> None:
    """Create a database at `path` with rows in every table."""
    database = await open_database(path)
    journal = Journal(database)
    await journal.save_sync_batch(SyncBatch(SyncToken("s1"), (message(1), message(2))), 1.0)
    units = [UnitOfWork(room=room) for room in ROOMS] + [UnitOfWork(user=user) for user in USERS]
    chosen = UnitOfWork(preferences=((ANNA, PREFERENCES),))
    await journal.save_units_of_work(
        [*units, chosen, UnitOfWork(turn=TURN, orders=(order("a"),), failed_turns=(FAILED,))], 2.0
    )
    await journal.deliver_event(KEY, message(3), 3.0)
    await fill_inbox(journal)
    await fill_outbox(journal)
    await database.close()


async def fill_inbox(journal: Journal) -> None:
    """Insert a waiting event of every kind, and two finished ones."""
    broken = Quarantined("timeline", ROOM, EventId("$broken"), "the event has no type")
    batch = SyncBatch(SyncToken("s1"), MATRIX_EVENTS, gaps=(GAP,), quarantined=(broken,))
    waiting = await journal.save_sync_batch(batch, 4.0)
    assert [row.event for row in waiting] == [*MATRIX_EVENTS]
    to_room = [(ActorKey(ROOM), event) for event in ROOM_EVENTS]
    to_user = [(USER_KEY, event) for event in USER_EVENTS]
    await journal.save_units_of_work([UnitOfWork(deliveries=(*to_room, *to_user))], 5.0)
    done, dead = await journal.save_sync_batch(
        SyncBatch(SyncToken("s1"), (message(4, DEALT_WITH), message(5, DEALT_WITH))), 6.0
    )
    ended = UnitOfWork(acked=(done.seq,), dead_letters=((dead.seq, "no key"),))
    await journal.save_units_of_work([ended], 7.0)


async def fill_outbox(journal: Journal) -> None:
    """Insert a waiting order of every kind, and two finished ones."""
    rows = [replace(order(f"j{n}", ROOM), order=each) for n, each in enumerate(ORDERS)]
    ended = [order("sent", DEALT_WITH), order("refused", DEALT_WITH)]
    await journal.save_units_of_work([UnitOfWork(orders=(*rows, *ended))], 8.0)
    sent = FinishedOrder(ended[0], event_id=EventId("$sent"))
    await journal.finish_orders([sent, FinishedOrder(ended[1], refusal="too large")], 9.0)


def dump_of(path: Path) -> str:
    """Return the statements that create the database at `path` again."""
    raw = sqlite3.connect(path)
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    lines = "\n".join(raw.iterdump())
    raw.close()
    return f"{lines}\nPRAGMA user_version = {version};\n"


def main(version: int) -> None:
    """Write the dump of this program's schema, which must have this `version`."""
    if version != len(migrations()):
        raise SystemExit(f"this program is of schema version {len(migrations())}, not {version}")
    target = Path(__file__).with_name("schemas") / f"{version:04}.sql"
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bot.db"
        asyncio.run(fill(path))
        target.write_text(dump_of(path), encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main(int(sys.argv[1]))

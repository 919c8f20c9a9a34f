"""`python -m tests.store.dump NNNN`: keep what version NNNN of the schema looks like, with rows in it.

Run it before the migration after NNNN is written: the rows are put in by the program of that version.
"""

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

from machines.facts import SyncBatch
from machines.ids import SyncToken
from store import Journal
from store.database import migrations, open_database
from store.records import Writes
from tests.store.values import KEY, ROOMS, TURN, USERS, message, order


async def fill(path: Path) -> None:
    """Make a database at `path` that holds something of everything."""
    database = await open_database(path)
    journal = Journal(database)
    await journal.keep_batch(SyncBatch(SyncToken("s1"), (message(1), message(2))), 1.0)
    visits = [Writes(room=room) for room in ROOMS] + [Writes(user=user) for user in USERS]
    await journal.keep_visits([*visits, Writes(turn=TURN, orders=(order("a"),))], 2.0)
    await journal.tell(KEY, message(3), 3.0)
    await database.close()


def dump_of(path: Path) -> str:
    """Return the statements that make the database at `path` anew."""
    raw = sqlite3.connect(path)
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    lines = "\n".join(raw.iterdump())
    raw.close()
    return f"{lines}\nPRAGMA user_version = {version};\n"


def main(version: int) -> None:
    """Write the dump of this program's schema, which has to be of `version`."""
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

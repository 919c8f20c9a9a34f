"""A database of every earlier schema becomes one of today's, with all that was in it.

`schemas/NNNN.sql` is what `sqlite3 .dump` shows of a database as version NNNN left it, rows included. Before a
migration is added, `python -m tests.store.dump NNNN` writes the dump of the version it starts from, and this file
covers it by itself.
"""

import sqlite3
from pathlib import Path

import pytest

from store import Database, DatabaseUnusable, Journal, database
from store.database import migrations, open_database
from store.records import Writes
from tests.store.dump import dump_of, fill
from tests.store.values import ANNA, CHAT, ROOMS

SCHEMAS = Path(__file__).with_name("schemas")
LATEST = len(migrations())


def schema(path: Path) -> list[tuple]:
    raw = sqlite3.connect(path)
    rows = raw.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    ).fetchall()
    raw.close()
    # A migrated table is written as ALTER TABLE left it: spaces may differ, columns may not.
    return [(kind, name, table, " ".join((sql or "").split())) for kind, name, table, sql in rows]


def columns(path: Path) -> dict[str, list[tuple]]:
    raw = sqlite3.connect(path)
    tables = [name for kind, name, _, _ in schema(path) if kind == "table"]
    found = {table: raw.execute(f"PRAGMA table_xinfo({table})").fetchall() for table in tables}
    raw.close()
    return {table: sorted(each[1:] for each in rows) for table, rows in found.items()}


async def opened_and_closed(path: Path) -> None:
    opened = await open_database(path)
    await opened.close()


@pytest.fixture
async def todays(anyio_backend: str, tmp_path: Path) -> Path:
    """A database made from nothing."""
    path = tmp_path / "today.db"
    await opened_and_closed(path)
    return path


def test_every_earlier_schema_is_kept_here():
    kept = {path.stem for path in SCHEMAS.glob("*.sql")}
    expected = {f"{version:04}" for version in range(1, LATEST)}
    assert kept == expected, "write it with `python -m tests.store.dump`"


@pytest.mark.parametrize("version", range(1, LATEST), ids="from version {}".format)
async def test_an_earlier_database_is_migrated_with_its_rows(version, path, todays):
    raw = sqlite3.connect(path)
    raw.executescript((SCHEMAS / f"{version:04}.sql").read_text(encoding="utf-8"))
    raw.close()
    await opened_and_closed(path)
    assert columns(path) == columns(todays)
    await holds_the_first_rows(path)


async def holds_the_first_rows(path: Path) -> None:
    opened = await open_database(path)
    stored = await Journal(opened).stored()
    bot = await Journal(opened).bot()
    await opened.close()
    assert set(stored.rooms) >= {CHAT}
    assert stored.rooms[CHAT].binding == ROOMS[1].binding
    assert set(stored.users) >= {ANNA}
    assert bot.sync_token == "s1"


async def test_an_empty_file_becomes_a_database(path, todays):
    path.touch(mode=0o600)
    await opened_and_closed(path)
    assert schema(path) == schema(todays)


async def test_opening_again_changes_nothing(todays):
    before = schema(todays)
    await opened_and_closed(todays)
    assert schema(todays) == before


async def test_a_dump_of_today_opens_like_any_earlier_one(path, todays):
    await fill(path)
    dump = dump_of(path)
    path.unlink()
    raw = sqlite3.connect(path)
    raw.executescript(dump)
    raw.close()
    await opened_and_closed(path)
    assert columns(path) == columns(todays)
    await holds_the_first_rows(path)


async def test_a_later_migration_runs_once_over_what_is_there(path, monkeypatch):
    await fill(path)
    later = [*migrations(), "ALTER TABLE rooms ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';"]
    monkeypatch.setattr(database, "migrations", lambda: later)
    for _ in range(2):
        opened = await open_database(path)
        colours = await opened.run(lambda raw: raw.execute("SELECT colour FROM rooms").fetchall())
        version = await opened.run(lambda raw: raw.execute("PRAGMA user_version").fetchone()[0])
        await opened.close()
        assert {row[0] for row in colours} == {"grey"}
        assert version == LATEST + 1
    await holds_the_first_rows(path)


async def test_a_migration_that_fails_leaves_the_version_before_it(path, monkeypatch):
    await fill(path)
    before = schema(path)
    broken = [*migrations(), "CREATE TABLE half (id INTEGER);\nCREATE TABLE bot (id INTEGER);"]
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: broken)
        with pytest.raises(DatabaseUnusable, match="already exists"):
            await open_database(path)
    assert schema(path) == before
    await holds_the_first_rows(path)


async def test_the_steps_are_numbered_without_a_gap():
    folder = Path(database.__file__).with_name("migrations")
    numbers = sorted(int(path.name.split("_")[0]) for path in folder.glob("*.sql"))
    assert numbers == list(range(1, LATEST + 1))


async def test_a_first_start_has_never_lived(database: Database):
    bot = await Journal(database).bot()
    assert (bot.life.state, bot.sync_token, bot.platform_chat_seq) == ("stopped", None, 0)
    assert Writes().empty

"""A database of every earlier schema is migrated to the current one, with all its rows.

`schemas/NNNN.sql` is what `sqlite3 .dump` shows of a database as version NNNN left it, rows included. Before a
migration is added, `python -m tests.store.dump NNNN` writes the dump of the version it starts from, and this file
covers it by itself.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from machines.events.internal import InboxEvent
from machines.events.orders import Order
from machines.events.tags import tag_of
from machines.ids import ActorKey
from store import Database, DatabaseUnusable, Journal, database
from store.codec import dump, read_event, read_order
from store.database import migrate, migrations, open_database
from store.records import UnitOfWork
from tests.store.dump import GAP, dump_of, fill
from tests.store.journalled import (
    EVENTS_SINCE_0004,
    MATRIX_EVENTS,
    ORDERS,
    ORDERS_SINCE_0004,
    ROOM,
    ROOM_EVENTS,
    USER_EVENTS,
    USER_KEY,
)
from tests.store.values import ANNA, CHAT, KEY, PREFERENCES, ROOMS, TURN, USERS

SCHEMAS = Path(__file__).with_name("schemas")
LATEST = len(migrations())


def schema(path: Path) -> list[tuple]:
    raw = sqlite3.connect(path)
    rows = raw.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    ).fetchall()
    raw.close()
    # The SQL of a migrated table is that of ALTER TABLE: spaces may differ, columns may not.
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
    """A new database."""
    path = tmp_path / "today.db"
    await opened_and_closed(path)
    return path


def test_every_earlier_schema_is_stored_here():
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


def database_before_tags(path: Path) -> Path:
    """Create a database of the last version that stored class names."""
    raw = sqlite3.connect(path)
    raw.executescript((SCHEMAS / "0002.sql").read_text(encoding="utf-8"))
    raw.close()
    return path


@pytest.fixture
async def rows_before_tags(anyio_backend: str, path: Path) -> AsyncIterator[Database]:
    """That database, opened by the current version."""
    opened = await open_database(database_before_tags(path))
    yield opened
    await opened.close()


async def test_every_event_stored_under_its_class_name_is_read_unchanged(rows_before_tags):
    journal = Journal(rows_before_tags)
    rows = await journal.load_actors([ActorKey(ROOM), USER_KEY])
    by_number = sorted(
        (row for each in rows.values() for row in each.inbox), key=lambda row: row.seq
    )
    assert [row.event for row in by_number] == [*MATRIX_EVENTS, *ROOM_EVENTS, *USER_EVENTS]
    known = {type(row.event) for row in by_number} | set(map(type, EVENTS_SINCE_0004))
    assert known == set(get_args(InboxEvent))


async def test_every_order_stored_under_its_class_name_is_read_unchanged(rows_before_tags):
    rows = await Journal(rows_before_tags).waiting_orders(0.0)
    orders = [row.order for row in rows if row.lane == ROOM]
    assert orders == [*ORDERS]
    known = set(map(type, [*orders, *ORDERS_SINCE_0004]))
    assert known == set(get_args(Order))


@pytest.mark.parametrize("value", [*EVENTS_SINCE_0004, *ORDERS_SINCE_0004], ids=tag_of)
def test_what_later_versions_store_is_read_unchanged(value):
    read = read_order if isinstance(value, Order) else read_event
    assert read(dump(value)) == value


async def test_rooms_users_turns_and_preferences_from_before_the_tags_are_read_unchanged(
    rows_before_tags,
):
    journal = Journal(rows_before_tags)
    stored = await journal.stored()
    assert list(stored.rooms.values()) == sorted(ROOMS, key=lambda room: room.room_id)
    assert list(stored.users.values()) == [*USERS]
    assert (await journal.load_actors([KEY]))[KEY].turn == TURN
    assert await journal.preferences() == {ANNA: PREFERENCES}
    assert await journal.gaps() == (GAP,)


async def test_a_migrated_row_equals_a_row_written_today(rows_before_tags, tmp_path):
    today = tmp_path / "today.db"
    await fill(today)
    with closing(sqlite3.connect(today)) as raw:
        new = journalled(raw)
    migrated = await rows_before_tags.run(journalled)
    assert migrated == new


def journalled(raw: sqlite3.Connection) -> list[tuple]:
    rows = [
        *raw.execute("SELECT seq, kind, status, payload, 'inbox' FROM inbox ORDER BY seq"),
        *raw.execute("SELECT seq, kind, status, payload, 'outbox' FROM outbox ORDER BY seq"),
    ]
    read = {"inbox": read_event, "outbox": read_order}
    return [(*row[:3], read[row[4]](row[3]) if row[3] else None) for row in rows]


async def test_a_damaged_row_does_not_stop_the_migration_of_others(path):
    with closing(sqlite3.connect(database_before_tags(path))) as raw:
        raw.execute("UPDATE inbox SET payload = '{' WHERE actor = ?", (KEY,))
        raw.commit()
        migrate(raw)
        kinds = raw.execute("SELECT kind, payload FROM inbox WHERE actor = ?", (KEY,)).fetchall()
        others = raw.execute("SELECT payload ->> 'type' FROM outbox WHERE payload != ''").fetchall()
    assert kinds == [("message", "{")] * 3
    assert ("send_message",) in others


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


async def test_a_later_migration_runs_once_over_existing_rows(path, monkeypatch):
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


async def test_before_the_first_start_the_bot_was_never_live(database: Database):
    bot = await Journal(database).bot()
    assert (bot.bot_state.state, bot.sync_token, bot.platform_chat_seq) == ("stopped", None, 0)
    assert UnitOfWork().empty

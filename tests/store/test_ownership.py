"""Ownership: a database of this program is opened, any other is not changed (contract X7)."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from store import DatabaseUnusable
from store.database import migrations, open_database, prepare
from store.readonly import read
from tests.store.samples import files

APPLICATION_ID = 0x53757242


def application_id_in_file(path: Path) -> int:
    """Return the application id in the file itself, without the WAL."""
    return int.from_bytes(path.read_bytes()[68:72], "big")


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE recipes (name TEXT)")
        for statement in statements:
            raw.execute(statement)
        raw.commit()


def without_index(found: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Remove the WAL index, in which connections of one process mark what they read."""
    return {name: content for name, content in found.items() if not name.endswith("-shm")}


def earlier(path: Path) -> None:
    """Create a database like versions without an application id."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.executescript(f"{migrations()[0]}\nPRAGMA user_version = 1;")


async def test_a_new_database_has_the_application_id_before_it_has_a_wal(path):
    database = await open_database(path)
    assert application_id_in_file(path) == APPLICATION_ID
    await database.close()


async def test_a_database_of_an_earlier_version_is_given_the_application_id(path):
    earlier(path)
    database = await open_database(path)
    assert await database.run(lambda raw: raw.execute("PRAGMA application_id").fetchone()[0])
    await database.close()
    assert application_id_in_file(path) == APPLICATION_ID


@pytest.mark.parametrize(
    "statements",
    [
        (),
        ("PRAGMA journal_mode = WAL",),
        ("PRAGMA user_version = 1",),
        ("PRAGMA user_version = 99",),
        ("PRAGMA application_id = 1",),
        ("CREATE TABLE bot (id)", "CREATE TABLE rooms (id)", "PRAGMA user_version = 1"),
    ],
    ids=["plain", "wal", "version", "later version", "application id", "two of our tables"],
)
async def test_a_database_of_another_program_is_refused_and_not_changed(path, statements):
    foreign(path, *statements)
    before = files(path.parent)
    with pytest.raises(DatabaseUnusable, match="not a database of this bot"):
        await open_database(path)
    assert files(path.parent) == before


async def test_a_database_of_another_program_with_a_wal_is_not_changed(path):
    foreign(path, "PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO recipes VALUES ('soup')")
        raw.commit()
        before = without_index(files(path.parent))
        with pytest.raises(DatabaseUnusable, match="not a database of this bot"):
            await open_database(path)
        assert without_index(files(path.parent)) == before
        assert len(before) == 2


@pytest.mark.parametrize("found", [b"my thesis\n", b"SQLite format 3\x00"], ids=["text", "start"])
async def test_a_file_that_is_no_database_is_refused_and_not_changed(path, found):
    path.write_bytes(found)
    with pytest.raises(DatabaseUnusable):
        await open_database(path)
    assert files(path.parent) == {path.name: files(path.parent)[path.name]}
    assert path.read_bytes() == found


async def test_what_is_no_regular_file_is_refused(path):
    os.mkfifo(path)
    with pytest.raises(DatabaseUnusable, match="not a regular file"):
        await open_database(path)


async def test_an_empty_file_becomes_a_database(path):
    path.touch(mode=0o600)
    database = await open_database(path)
    await database.close()
    assert application_id_in_file(path) == APPLICATION_ID


def test_a_connection_to_another_programs_database_is_not_prepared(path):
    foreign(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        with pytest.raises(DatabaseUnusable):
            prepare(raw)
        assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


def test_reading_another_programs_database_is_refused_with_a_clear_message(path):
    foreign(path, "PRAGMA user_version = 1")
    with pytest.raises(DatabaseUnusable, match="not a database of this bot"):
        read(path, lambda raw: None)


def test_a_database_of_an_earlier_version_can_be_read(path):
    earlier(path)
    assert read(path, lambda raw: raw.execute("SELECT state FROM bot").fetchone()[0]) == "stopped"

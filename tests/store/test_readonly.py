"""Reading without changes: the files of a daemon in any state are read completely and are not changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store import database, readonly
from store.errors import DatabaseAbsent, DatabaseUnusable
from store.queries import SQL
from store.readonly import read
from store.records import UnitOfWork
from tests.store.samples import CHAT, another_process, chat_room, connect, files, save


def reason(raw: sqlite3.Connection) -> str:
    row = raw.execute(SQL["room"], {"room_id": CHAT}).fetchone()
    return str(row["reason"]) if row is not None else "no such room"


@pytest.fixture(params=["running", "killed", "killed, index lost", "stopped"])
def left_behind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A database in one of its possible states; its last commit is `the last word`."""
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(reason="an earlier word")))
    with another_process(path, "the last word") as process:
        if request.param == "running":
            yield path
            return
        if request.param == "stopped":
            process.communicate()
    if request.param == "killed, index lost":
        path.with_name("bot.db-shm").unlink()
    yield path


def test_the_last_commit_is_read_and_no_file_is_touched(left_behind: Path) -> None:
    before = files(left_behind.parent)
    assert read(left_behind, reason) == "the last word"
    assert read(left_behind, reason) == "the last word"
    assert files(left_behind.parent) == before


def test_a_directory_that_may_not_be_written_is_read_too(left_behind: Path) -> None:
    left_behind.parent.chmod(0o500)
    try:
        assert read(left_behind, reason) == "the last word"
    finally:
        left_behind.parent.chmod(0o700)


def test_the_last_commit_of_a_killed_daemon_is_read_from_the_wal(tmp_path: Path) -> None:
    """Otherwise the tests above would pass without reading the WAL."""
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(reason="an earlier word")))
    with another_process(path, "the last word"):
        pass
    path.with_name("bot.db-wal").unlink()
    assert read(path, reason) == "an earlier word"


def test_uncommitted_changes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(reason="committed")))
        raw.execute("BEGIN")
        raw.execute("UPDATE rooms SET reason = 'not committed'")
        assert read(path, reason) == "committed"
        raw.execute("ROLLBACK")


def test_a_reader_does_not_block_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(reason="before")))
        raw.execute("PRAGMA busy_timeout = 0")

        def write_meanwhile(reader: sqlite3.Connection) -> tuple[str, str]:
            first = reason(reader)
            save(raw, UnitOfWork(room=chat_room(reason="meanwhile")))
            return first, reason(reader)

        assert read(path, write_meanwhile) == ("before", "before")
        assert read(path, reason) == "meanwhile"


def test_a_daemon_that_starts_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    connect(path).close()
    started: list[sqlite3.Connection] = []

    def start_in_the_middle(reader: sqlite3.Connection) -> str:
        if not started:
            started.append(connect(path))
            save(started[0], UnitOfWork(room=chat_room(reason="alive")))
        return reason(reader)

    try:
        assert read(path, start_in_the_middle) == "alive"
    finally:
        started[0].close()


def test_a_link_is_followed_to_the_side_files_of_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "bot.db"
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(reason="the last word")))
        assert read(link, reason) == "the last word"


def test_an_older_schema_is_migrated_in_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room()))
    later = [*database.migrations(), "ALTER TABLE rooms ADD COLUMN colour TEXT DEFAULT 'green';"]
    monkeypatch.setattr(database, "migrations", lambda: later)
    monkeypatch.setattr(readonly, "migrations", lambda: later)
    before = files(tmp_path)

    def colour(raw: sqlite3.Connection) -> str:
        return str(raw.execute("SELECT colour FROM rooms").fetchone()[0])

    assert read(path, colour) == "green"
    assert files(tmp_path) == before


def test_a_database_that_is_not_there_is_absent_and_stays_so(tmp_path: Path) -> None:
    with pytest.raises(DatabaseAbsent, match=r"no database at .*bot\.db"):
        read(tmp_path / "bot.db", reason)
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"dear diary", "not a SQLite database"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "malformed|not a database|disk image"),
    ],
)
def test_a_file_that_is_no_database_is_unusable(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match=complaint):
        read(path, reason)
    assert files(tmp_path).keys() == {"bot.db"}


def test_a_directory_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="directory"):
        read(tmp_path, reason)


def test_a_database_of_another_program_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(DatabaseUnusable, match="not a database of this bot"):
        read(path, reason)


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(DatabaseUnusable, match="schema version 99"):
        read(path, reason)


def test_a_page_that_is_damaged_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room()))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable):
        read(path, reason)

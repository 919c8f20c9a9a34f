"""Opening the file: how it is created, and which files are refused, with messages that an operator can act on."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from store import DatabaseUnusable
from store.database import Database, migrations, open_database, prepare, translated
from store.errors import UnitRefused


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_the_owner_may_access_the_file_and_its_side_files(path):
    before = os.umask(0)
    try:
        database = await open_database(path)
        await database.run(lambda raw: raw.execute("UPDATE bot SET reason = 'written'"))
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["bot.db", "bot.db-shm", "bot.db-wal"]
        assert [mode(file) for file in files] == [0o600] * 3
        await database.close()
    finally:
        os.umask(before)


async def test_closing_checkpoints_the_wal(path):
    database = await open_database(path)
    await database.run(lambda raw: raw.execute("UPDATE bot SET reason = 'written'"))
    await database.close()
    assert [file.name for file in path.parent.iterdir()] == ["bot.db"]
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT reason FROM bot").fetchone() == ("written",)
    raw.close()


async def test_a_commit_is_on_the_disk(database: Database):
    settings = await database.run(
        lambda raw: [
            raw.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "user_version")
        ]
    )
    assert settings == ["wal", 2, len(migrations())]


async def test_a_garbage_file_is_refused_and_not_changed(path):
    path.write_bytes(b"this was never a database\n" * 100)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        await open_database(path)
    assert path.read_bytes() == b"this was never a database\n" * 100


async def test_a_cut_off_file_is_refused(path):
    database = await open_database(path)
    await database.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatabaseUnusable, match="malformed"):
        await open_database(path)


async def test_a_directory_is_refused_by_its_name(path):
    path.mkdir()
    with pytest.raises(DatabaseUnusable, match=r"bot\.db: Is a directory"):
        await open_database(path)


async def test_a_path_that_does_not_exist_is_refused_by_its_name(path):
    with pytest.raises(DatabaseUnusable, match=r"bot\.db: No such file or directory"):
        await open_database(path.parent / "nowhere" / path.name)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to the superuser")
async def test_a_read_only_file_is_refused_by_its_name(path):
    path.touch(mode=0o400)
    with pytest.raises(DatabaseUnusable, match=r"bot\.db: Permission denied"):
        await open_database(path)


async def test_a_later_version_is_refused_with_what_to_do(path):
    database = await open_database(path)
    later = len(migrations()) + 1
    await database.run(lambda raw: raw.execute(f"PRAGMA user_version = {later}"))
    await database.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable, match=rf"version {later}, .* or delete the file"):
        await open_database(path)
    assert path.read_bytes() == before


def test_a_file_that_can_only_be_read_is_unusable(path):
    translated(prepare, sqlite3.connect(path)).close()
    raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(DatabaseUnusable, match="readonly"):
        translated(lambda raw: raw.execute("UPDATE bot SET reason = ''"), raw)
    raw.close()


async def test_a_full_disk_is_unusable_and_loses_nothing(database: Database):
    def fill(raw: sqlite3.Connection) -> None:
        raw.execute("PRAGMA max_page_count = 1")
        raw.execute(
            "INSERT INTO quarantine (source, reason, at) VALUES ('sync', ?, 1)", ("x" * 10**6,)
        )

    with pytest.raises(DatabaseUnusable, match="full"):
        await database.run(fill)
    count = await database.run(
        lambda raw: raw.execute("SELECT count(*) FROM quarantine").fetchone()
    )
    assert count[0] == 0


async def test_the_error_quotes_no_unreadable_text(database: Database):
    def look(raw: sqlite3.Connection) -> None:
        raw.execute("SELECT CAST(? AS TEXT) AS payload", (b"our secret \xff",)).fetchone()

    with pytest.raises(DatabaseUnusable, match="UTF-8 column 'payload'") as unusable:
        await database.run(look)
    assert "secret" not in str(unusable.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda raw: raw.execute("INSERT INTO bot (id, state, since, reason) VALUES (2, '', 0, '')"),
        lambda raw: raw.execute(
            "INSERT INTO quarantine (source, reason, at) VALUES ('sync', NULL, 0)"
        ),
        lambda raw: raw.execute("UPDATE bot SET since = 'never'"),
        lambda raw: raw.execute("UPDATE bot SET reason = :reason", {}),
        lambda raw: raw.execute("UPDATE bot SET reason = ?", ("\ud800",)),
        lambda raw: raw.execute("UPDATE bot SET platform_chat_seq = ?", (2**63,)),
        lambda raw: raw.execute("UPDATE bot SET reason = ?", (object(),)),
    ],
    ids=["check", "null", "type", "parameter", "surrogate", "overflow", "no SQL value"],
)
async def test_a_unit_that_breaks_a_rule_is_refused_and_the_file_stays_usable(journal, wrong):
    with pytest.raises(UnitRefused):
        await journal.write(wrong)
    assert (await journal.bot()).bot_state.state == "stopped"

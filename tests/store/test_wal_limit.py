"""The WAL leaves enough space for its checkpoint (contract D3)."""

import shutil
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from store import wal_limit
from store.database import open_database
from store.wal_limit import MAX_PAGES, MIN_PAGES, wal_pages

PAGE = 4096
FREE_BYTES = 400_000
"""Less than SQLite's own limit of the WAL."""


def grow_log(raw):
    """Write the same row again and again; each write adds a page or more to the WAL and none to the file."""
    raw.execute("PRAGMA synchronous = OFF")
    for number in range(300):
        raw.execute("UPDATE bot SET reason = ?", (f"for the {number}th time",))


def test_the_wal_has_its_default_limit_if_there_is_space():
    assert wal_pages(10**9, PAGE) == MAX_PAGES


def test_the_wal_uses_half_of_the_free_space_if_there_is_little():
    assert wal_pages(100 * PAGE, PAGE) == 50
    assert wal_pages(0, PAGE) == MIN_PAGES


@pytest.fixture
def nearly_full(monkeypatch):
    monkeypatch.setattr(wal_limit.shutil, "disk_usage", lambda _: SimpleNamespace(free=FREE_BYTES))


@asynccontextmanager
async def opened(path):
    """Open a database, and close it in any case: otherwise its thread would outlive the tests."""
    database = await open_database(path)
    try:
        yield database
    finally:
        await database.close()


async def test_the_wal_is_checkpointed_before_it_fills_the_disk(path, nearly_full):
    async with opened(path) as database:
        await database.run(grow_log)
        assert path.with_name("bot.db-wal").stat().st_size < FREE_BYTES


async def test_the_wal_of_a_killed_process_is_checkpointed_at_start(path, tmp_path):
    left = tmp_path / "left" / path.name
    left.parent.mkdir()
    async with opened(path) as database:
        await database.run(grow_log)
        for file in path.parent.glob("bot.db*"):
            shutil.copyfile(file, left.parent / file.name)
    log = left.with_name("bot.db-wal")
    size = log.stat().st_size
    assert size > FREE_BYTES
    async with opened(left) as database:
        # The next write starts the WAL again instead of appending to it.
        await database.run(lambda raw: raw.execute("UPDATE bot SET reason = 'again'"))
        assert log.stat().st_size == size

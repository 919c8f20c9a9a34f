"""One real database for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import Database, Journal
from store.database import open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the test's database."""
    return tmp_path / "bot.db"


@pytest.fixture
async def database(anyio_backend: str, path: Path) -> AsyncIterator[Database]:
    """An open database, migrated."""
    database = await open_database(path)
    yield database
    await database.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    """The journal of that database."""
    return Journal(database)

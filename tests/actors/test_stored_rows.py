"""Waiting rows of an earlier version are handled, and its orders are performed."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.store.journalled import ORDERS, ROOM, USER_KEY

SCHEMAS = Path(__file__).parents[1] / "store" / "schemas"


@pytest.fixture
def earlier(anyio_backend: str, tmp_path: Path) -> Iterator[RuntimeFixture]:
    """A runtime whose database has one row of each kind, stored under class names."""
    raw = sqlite3.connect(tmp_path / "bot.db")
    raw.executescript((SCHEMAS / "0002.sql").read_text(encoding="utf-8"))
    raw.close()
    runtime = RuntimeFixture(tmp_path / "bot.db")
    yield runtime
    runtime.database.raw.close()


async def test_events_and_orders_from_before_the_tags_are_handled(earlier: RuntimeFixture):
    with capture_logs() as logs:
        async with earlier.running():
            for _ in range(5):
                await settle()
                await earlier.clock.advance(60)
    assert [line for line in logs if line["event"] in ("actor_fault", "batch_refused")] == []
    assert {type(order) for _, order in earlier.homeserver.performed} >= set(map(type, ORDERS))
    waiting = "SELECT actor, kind FROM inbox WHERE status = 'waiting' AND actor IN (?, ?)"
    assert earlier.database.rows(waiting, ROOM, USER_KEY) == []

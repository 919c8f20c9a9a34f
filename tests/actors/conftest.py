"""The fixture of the runtime's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.fakes import RuntimeFixture


@pytest.fixture
def runtime(anyio_backend: str, tmp_path: Path) -> Iterator[RuntimeFixture]:
    """The ports of a bot, as fakes, and one real database."""
    runtime = RuntimeFixture(tmp_path / "bot.db")
    yield runtime
    runtime.database.raw.close()

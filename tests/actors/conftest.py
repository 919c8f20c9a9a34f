"""The fixture of the runtime's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.fakes import House


@pytest.fixture
def house(anyio_backend: str, tmp_path: Path) -> Iterator[House]:
    """The ports of a bot, as fakes, and one real database."""
    house = House(tmp_path / "bot.db")
    yield house
    house.database.raw.close()

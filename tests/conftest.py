"""Parts that all tests share: markers, the event loop, the check for leftover tasks, a homeserver."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from sandbox.synapse import Synapse
from tests.idle_loop import IdleLoop, settle

# The same code always gets the same examples; random search is the task of the simulation.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

_TESTS = Path(__file__).parent
_MARKED_FOLDERS = ("system", "simulation", "soak")
_MAY_START_SYNAPSE = {"system", "soak"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that `make quick` leaves out, by their folder or their use of the homeserver."""
    folder = item.path.relative_to(_TESTS).parts[0]
    if folder in _MARKED_FOLDERS:
        item.add_marker(folder)
    if "synapse" in getattr(item, "fixturenames", ()):
        item.add_marker("system")


@pytest.fixture(autouse=True)
def only_marked_tests_start_synapse(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail a test that starts Synapse without the marker that keeps it out of `make quick`."""
    if _MAY_START_SYNAPSE.isdisjoint(mark.name for mark in request.node.iter_markers()):
        monkeypatch.setattr(Synapse, "start", _refuse_to_start)


async def _refuse_to_start(synapse: Synapse) -> NoReturn:
    pytest.fail("a test that starts Synapse needs `@pytest.mark.system`", pytrace=False)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run every async test on asyncio, which nio and aiosqlite need, with a loop that detects when it is idle."""
    return "asyncio", {"loop_factory": IdleLoop}


# anyio's plugin runs the test and its fixtures; the connections of a server end with the server's fixture.
_INFRASTRUCTURE = ("TestRunner.", "RequestHandler.")


def tasks_of_the_test() -> set[asyncio.Task[object]]:
    """Return all tasks except those of the infrastructure."""
    return {
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith(_INFRASTRUCTURE)
    }


@pytest.fixture
async def no_leftover_tasks() -> AsyncIterator[None]:
    """Fail the test when a task that it or its fixtures started is still there at the end."""
    before = tasks_of_the_test()
    yield
    if tasks_of_the_test() - before:
        # A cancelled task ends in a later iteration of the loop.
        await settle()
    left = tasks_of_the_test() - before
    if left:
        pytest.fail(f"leftover tasks: {', '.join(sorted(map(repr, left)))}", pytrace=False)


@pytest.fixture(autouse=True)
def check_leftover_tasks(request: pytest.FixtureRequest) -> None:
    """Check every async test for leftover tasks, after all of its fixtures have ended."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("no_leftover_tasks")


@pytest.fixture(scope="session")
async def synapse() -> AsyncIterator[Synapse]:
    """A homeserver for tests that leave it running; each test creates new accounts."""
    async with Synapse() as server:
        yield server

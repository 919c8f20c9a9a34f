"""What all tests share: their event loop, the rule that a test ends its tasks, a homeserver."""

import asyncio
from collections.abc import AsyncIterator

import anyio.lowlevel
import pytest
from hypothesis import settings

from sandbox.synapse import Synapse

# A run says the same of the same code; what is searched at random is searched by the simulation.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# A task that was told to end may need a few turns of the loop to do so.
GRACE_TURNS = 10


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every async test on asyncio: nio and aiosqlite need it."""
    return "asyncio"


# anyio's plugin runs the test and its fixtures; a server's connections end with the server, which is a
# fixture's to end.
_NOT_OF_THE_TEST = ("TestRunner.", "RequestHandler.")


def tasks_of_the_test() -> set[asyncio.Task[object]]:
    """Every task but those that serve it."""
    return {
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith(_NOT_OF_THE_TEST)
    }


@pytest.fixture
async def task_census() -> AsyncIterator[None]:
    """Fail the test when a task that it or its fixtures started is still there at the end."""
    before = tasks_of_the_test()
    yield
    left = tasks_of_the_test() - before
    for _ in range(GRACE_TURNS):
        if not left:
            return
        await anyio.lowlevel.checkpoint()
        left = tasks_of_the_test() - before
    pytest.fail(f"leftover tasks: {', '.join(sorted(map(repr, left)))}", pytrace=False)


@pytest.fixture(autouse=True)
def every_task_has_an_end(request: pytest.FixtureRequest) -> None:
    """Take the census around every async test, outside all of its own fixtures."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("task_census")


@pytest.fixture(scope="session")
async def synapse() -> AsyncIterator[Synapse]:
    """A homeserver for tests that leave it running; each test makes accounts of its own."""
    async with Synapse() as server:
        yield server

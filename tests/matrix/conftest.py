"""One Synapse for all tests here that need a real homeserver; each test has its own accounts on it."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio.lowlevel
import pytest

from machines.ids import UserId
from matrix import Account, MatrixClient
from matrix.clock import SystemClock
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser

PASSWORD = "a password of no importance"
_numbers = itertools.count(1)


class InstantClock(SystemClock):
    """A clock on which every wait ends at once; for tests that do not depend on time."""

    def __init__(self) -> None:
        super().__init__()
        self._slept_s = 0.0

    def now(self) -> float:
        return super().now() + self._slept_s

    async def sleep(self, seconds: float) -> None:
        self._slept_s += seconds
        await anyio.lowlevel.checkpoint()


@pytest.fixture(scope="session")
async def synapse(anyio_backend: str) -> AsyncIterator[Synapse]:
    """A homeserver, started once."""
    async with Synapse() as server:
        yield server


@pytest.fixture
async def account(synapse: Synapse, tmp_path: Path) -> Account:
    """A new account for the bot."""
    user_id = await synapse.register(f"bot{next(_numbers)}", PASSWORD)
    return Account(synapse.url, UserId(user_id), tmp_path / "matrix_store", password=PASSWORD)


@pytest.fixture
async def open_bot(
    account: Account,
) -> AsyncIterator[Callable[[], Awaitable[MatrixClient]]]:
    """Return a function that opens a new, logged-in client without state, as a new process would."""
    async with AsyncExitStack() as stack:

        async def open_once() -> MatrixClient:
            client = MatrixClient(
                account, on_change=lambda up, reason, outage_s: None, clock=InstantClock()
            )
            stack.push_async_callback(client.aclose)
            await client.login()
            return client

        yield open_once


@pytest.fixture
async def bot(open_bot: Callable[[], Awaitable[MatrixClient]]) -> MatrixClient:
    """A logged-in client of the bot."""
    return await open_bot()


@pytest.fixture
async def person(synapse: Synapse) -> AsyncIterator[MatrixUser]:
    """A new user, logged in."""
    user_id = await synapse.register(f"person{next(_numbers)}", PASSWORD)
    async with MatrixUser(synapse.url, user_id, PASSWORD) as person:
        yield person


@pytest.fixture
def renamed_bot(account: Account) -> Callable[[str], Awaitable[None]]:
    """Return a function that changes the bot's display name."""

    async def rename(name: str) -> None:
        async with MatrixUser(account.homeserver, account.user_id, PASSWORD) as operator:
            await operator.set_display_name(name)

    return rename

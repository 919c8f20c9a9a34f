"""One Synapse for all tests here that need a real homeserver, and accounts of their own on it."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio.lowlevel
import pytest

from machines.ids import UserId
from matrix import Account, MatrixHomeserver
from matrix.clock import SystemClock
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser

PASSWORD = "a password of no importance"
_numbers = itertools.count(1)


class HurriedClock(SystemClock):
    """A clock on which every wait is over at once: for tests of what is done, not of when."""

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
) -> AsyncIterator[Callable[[], Awaitable[MatrixHomeserver]]]:
    """Start the bot's side as a new process would: logged in, with nothing remembered."""
    async with AsyncExitStack() as stack:

        async def open_once() -> MatrixHomeserver:
            homeserver = MatrixHomeserver(
                account, on_change=lambda up, reason, outage_s: None, clock=HurriedClock()
            )
            stack.push_async_callback(homeserver.aclose)
            await homeserver.login()
            return homeserver

        yield open_once


@pytest.fixture
async def bot(open_bot: Callable[[], Awaitable[MatrixHomeserver]]) -> MatrixHomeserver:
    """The bot's side, logged in."""
    return await open_bot()


@pytest.fixture
async def person(synapse: Synapse) -> AsyncIterator[MatrixUser]:
    """A new user, logged in."""
    user_id = await synapse.register(f"person{next(_numbers)}", PASSWORD)
    async with MatrixUser(synapse.url, user_id, PASSWORD) as person:
        yield person


@pytest.fixture
def renamed_bot(account: Account) -> Callable[[str], Awaitable[None]]:
    """Change the bot's display name, as its operator may."""

    async def rename(name: str) -> None:
        async with MatrixUser(account.homeserver, account.user_id, PASSWORD) as operator:
            await operator.set_display_name(name)

    return rename

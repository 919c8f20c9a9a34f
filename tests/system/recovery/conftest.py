"""Fixtures of recovery: users with chats that several tests share, and bots of a test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.conftest import MakeBot, register_bot
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.recovery_fixture import USERS, RecoveryFixture, use_all_chats
from tests.system.users import PASSWORD

MakeInternals = Callable[..., Awaitable[BotInternals]]


@pytest.fixture
async def make_internals(synapse: Synapse, make_bot: MakeBot) -> MakeInternals:
    """Make bots with access to their internals; they are not started yet."""

    async def make(**more: str) -> BotInternals:
        return BotInternals(await make_bot(**more), synapse.url)

    return make


@pytest.fixture
async def internals(make_internals: MakeInternals) -> BotInternals:
    """A bot of the test's own with access to its internals; it is not started yet."""
    return await make_internals()


@pytest.fixture(scope="session")
async def session_setup(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RecoveryFixture]:
    """The shared users and chats, created once; every test restores what it changed."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(synapse.url))
        directory = tmp_path_factory.mktemp("recovery")
        bot = await register_bot(synapse, directory, session_agent, MATRIX_HOMESERVER=proxy.url)
        matrix_users = []
        for number in range(USERS):
            user_id = await synapse.register(f"a-recovery-user-{number}", PASSWORD)
            matrix_users.append(
                await stack.enter_async_context(MatrixUser(synapse.url, user_id, PASSWORD))
            )
        stack.push_async_callback(bot.daemon.kill)
        await bot.daemon.start()
        await bot.daemon.wait_live()
        users = await use_all_chats(matrix_users, bot.user_id)
        assert await bot.daemon.stop() == 0
        yield RecoveryFixture(BotInternals(bot, synapse.url), proxy, users)


@pytest.fixture
async def setup(
    session_setup: RecoveryFixture, agent: AgentServer
) -> AsyncIterator[RecoveryFixture]:
    """The shared users and chats, with their bot down at the beginning and at the end of a test."""
    yield session_setup
    session_setup.proxy.clear_fault()
    await session_setup.internals.bot.daemon.kill()

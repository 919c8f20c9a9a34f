"""What recovery is tested on: a small town that several tests use, and one home of a test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.cast import PASSWORD
from tests.system.conftest import MakeBot, register_bot
from tests.system.recovery.backstage import Backstage
from tests.system.recovery.town import PEOPLE, Town, settle_all

MakeBackstage = Callable[..., Awaitable[Backstage]]


@pytest.fixture
async def make_backstage(synapse: Synapse, make_bot: MakeBot) -> MakeBackstage:
    """Make bots and look behind them; they are not started yet."""

    async def make(**more: str) -> Backstage:
        return Backstage(await make_bot(**more), synapse.url)

    return make


@pytest.fixture
async def backstage(make_backstage: MakeBackstage) -> Backstage:
    """A bot of the test's own, from behind; it is not started yet."""
    return await make_backstage()


@pytest.fixture(scope="session")
async def settled_town(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    """The town, made once: every test leaves it as whole as it found it."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(synapse.url))
        directory = tmp_path_factory.mktemp("town")
        bot = await register_bot(synapse, directory, session_agent, MATRIX_HOMESERVER=proxy.url)
        people = []
        for number in range(PEOPLE):
            user_id = await synapse.register(f"a-neighbour-{number}", PASSWORD)
            people.append(
                await stack.enter_async_context(MatrixUser(synapse.url, user_id, PASSWORD))
            )
        stack.push_async_callback(bot.daemon.kill)
        await bot.daemon.start()
        await bot.daemon.wait_live()
        neighbours = await settle_all(people, bot.user_id)
        assert await bot.daemon.stop() == 0
        yield Town(Backstage(bot, synapse.url), proxy, neighbours)


@pytest.fixture
async def town(settled_town: Town, agent: AgentServer) -> AsyncIterator[Town]:
    """The town with its bot down, at the beginning and at the end of a test."""
    yield settled_town
    settled_town.proxy.clear_fault()
    await settled_town.backstage.bot.daemon.kill()

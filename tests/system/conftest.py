"""Fixtures of the system tests: one homeserver for the session, new accounts for each test.

`onboarded` is a user of a bot that runs for the whole session; a test that stops, kills or configures a daemon
creates one with `make_bot`.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sandbox.daemon import Daemon
from sandbox.synapse import Synapse
from tests.support.agent_script import echo
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.users import PASSWORD, Bot, OnboardedUser, onboard

MakeBot = Callable[..., Awaitable[Bot]]
MakeUser = Callable[..., Awaitable[MatrixUser]]

# The daemon runs the code beside these tests, whatever else is installed.
_HERE = str(Path(__file__).parents[2])
_numbers = itertools.count(1)


async def register_bot(synapse: Synapse, directory: Path, agent: AgentServer, **more: str) -> Bot:
    """Create an account for a bot, and a daemon that is not started yet; `more` overrides the settings."""
    user_id = await synapse.register(f"a-bot-{next(_numbers)}", PASSWORD)
    directory = directory / user_id.partition(":")[0].removeprefix("@")
    directory.mkdir()
    environment = {
        "MATRIX_HOMESERVER": synapse.url,
        "MATRIX_USER_ID": user_id,
        "MATRIX_PASSWORD": PASSWORD,
        "MATRIX_PLATFORM_BACKEND": "real",
        "AGENT_BASE_URL": agent.url,
        "SURFACES_LOG_LEVEL": "debug",
        "PYTHONPATH": _HERE,
    }
    return Bot(user_id, Daemon(directory, environment | more))


@pytest.fixture(scope="session")
async def session_agent(anyio_backend: str) -> AsyncIterator[AgentServer]:
    """The agent server of the whole session."""
    async with AgentServer() as server:
        yield server


@pytest.fixture
async def agent(session_agent: AgentServer) -> AsyncIterator[AgentServer]:
    """The agent: it echoes, unless the test gives it another script."""
    session_agent.script = echo
    yield session_agent
    session_agent.script = echo
    session_agent.release()
    session_agent.drop_all()
    for connection in session_agent.connections:
        await connection.closed.wait()


@pytest.fixture(scope="session")
async def session_bot(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bot]:
    """A bot that runs for the whole session; no test may stop its daemon."""
    bot = await register_bot(synapse, tmp_path_factory.mktemp("session-bot"), session_agent)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        yield bot


@pytest.fixture
async def make_bot(synapse: Synapse, agent: AgentServer, tmp_path: Path) -> AsyncIterator[MakeBot]:
    """Create further bots, not started yet; they are killed at the end."""
    async with AsyncExitStack() as stack:

        async def make(**more: str) -> Bot:
            bot = await register_bot(synapse, tmp_path, agent, **more)
            stack.push_async_callback(bot.daemon.kill)
            return bot

        yield make


@pytest.fixture
async def make_user(synapse: Synapse) -> AsyncIterator[MakeUser]:
    """Create users, each with an account and a session."""
    async with AsyncExitStack() as stack:

        async def make(display_name: str | None = None) -> MatrixUser:
            user_id = await synapse.register(f"a-user-{next(_numbers)}", PASSWORD)
            user = await stack.enter_async_context(MatrixUser(synapse.url, user_id, PASSWORD))
            if display_name is not None:
                await user.set_display_name(display_name)
            return user

        yield make


@pytest.fixture
async def user(make_user: MakeUser) -> MatrixUser:
    """A new user."""
    return await make_user()


@pytest.fixture
async def onboarded(session_bot: Bot, agent: AgentServer, user: MatrixUser) -> OnboardedUser:
    """A user who was onboarded by the bot of the session."""
    return await onboard(user, session_bot.user_id)


@pytest.fixture
async def proxy(synapse: Synapse) -> AsyncIterator[Proxy]:
    """A proxy to the homeserver, for a daemon that is configured to use it."""
    async with Proxy(synapse.url) as proxy:
        yield proxy

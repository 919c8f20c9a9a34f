"""Who talks and to whom: one bot a language for the whole session, with little patience with its agent."""

import itertools
from collections.abc import AsyncIterator

import pytest

from machines.i18n import TEMPLATES
from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.system.cast import PASSWORD, onboard
from tests.system.chat_commands.guest import Guest
from tests.system.conftest import register_bot

RETRY_S = 1.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=sorted(TEMPLATES))
async def standing_guest(
    request: pytest.FixtureRequest,
    synapse: Synapse,
    session_agent: AgentServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Guest]:
    """Somebody's home at a bot that speaks his language, for all tests in that language."""
    locale: str = request.param
    bot = await register_bot(
        synapse,
        tmp_path_factory.mktemp("guest"),
        session_agent,
        SURFACES_LOCALE=locale,
        AGENT_RETRY_S=str(RETRY_S),
    )
    # The same language may be set up again, in whatever order the tests come.
    user_id = await synapse.register(f"a-guest-{locale}-{next(_numbers)}", PASSWORD)
    async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as person:
        await daemon.wait_live()
        yield Guest(bot, await onboard(person, bot.user_id), locale)


@pytest.fixture
async def guest(standing_guest: Guest, agent: AgentServer) -> Guest:
    """Somebody in each language; the agent echoes at first."""
    return standing_guest

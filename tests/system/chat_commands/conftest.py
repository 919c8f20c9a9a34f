"""One bot a language for the whole session, which retries its agent for a short time only."""

import itertools
from collections.abc import AsyncIterator

import pytest

from machines.i18n import TEMPLATES
from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.system.chat_commands.localized_user import LocalizedUser
from tests.system.conftest import register_bot
from tests.system.users import PASSWORD, onboard

RETRY_S = 1.0
_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=sorted(TEMPLATES))
async def session_localized(
    request: pytest.FixtureRequest,
    synapse: Synapse,
    session_agent: AgentServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LocalizedUser]:
    """An onboarded user of a bot in one language, for all tests in that language."""
    locale: str = request.param
    bot = await register_bot(
        synapse,
        tmp_path_factory.mktemp("localized"),
        session_agent,
        SURFACES_LOCALE=locale,
        AGENT_RETRY_S=str(RETRY_S),
    )
    # The same language may be set up again, in whatever order the tests come.
    user_id = await synapse.register(f"a-localized-{locale}-{next(_numbers)}", PASSWORD)
    async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as user:
        await daemon.wait_live()
        yield LocalizedUser(bot, await onboard(user, bot.user_id), locale)


@pytest.fixture
async def localized(session_localized: LocalizedUser, agent: AgentServer) -> LocalizedUser:
    """A user in each language; the agent echoes at first."""
    return session_localized

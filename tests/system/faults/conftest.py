"""One bot with short timeouts behind a proxy for all tests of faults; a test restores what it breaks."""

from collections.abc import AsyncIterator

import pytest

from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.conftest import register_bot
from tests.system.faults.fault_fixture import RETRY_S, TIMEOUT_S, FaultFixture
from tests.system.users import PASSWORD, onboard


@pytest.fixture(scope="session")
async def session_setup(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FaultFixture]:
    """The bot, proxy and user of the whole session."""
    async with Proxy(synapse.url) as proxy:
        bot = await register_bot(
            synapse,
            tmp_path_factory.mktemp("faults"),
            session_agent,
            MATRIX_HOMESERVER=proxy.url,
            AGENT_RETRY_S=str(RETRY_S),
            AGENT_TIMEOUT_S=str(TIMEOUT_S),
        )
        user_id = await synapse.register("a-patient-user", PASSWORD)
        async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as user:
            await daemon.wait_live()
            yield FaultFixture(proxy, bot, await onboard(user, bot.user_id))


@pytest.fixture
async def setup(session_setup: FaultFixture, agent: AgentServer) -> AsyncIterator[FaultFixture]:
    """The bot, proxy and user, with no fault at the beginning and at the end."""
    session_setup.begin()
    yield session_setup
    session_setup.proxy.clear_fault()

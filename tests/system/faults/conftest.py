"""One impatient bot behind a proxy for all tests of faults; who breaks it mends it."""

from collections.abc import AsyncIterator

import pytest

from sandbox.synapse import Synapse
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.cast import PASSWORD, onboard
from tests.system.conftest import register_bot
from tests.system.faults.scene import RETRY_S, TIMEOUT_S, Scene


@pytest.fixture(scope="session")
async def standing_scene(
    synapse: Synapse, session_agent: AgentServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """The scene of the whole session."""
    async with Proxy(synapse.url) as proxy:
        bot = await register_bot(
            synapse,
            tmp_path_factory.mktemp("faults"),
            session_agent,
            MATRIX_HOMESERVER=proxy.url,
            AGENT_RETRY_S=str(RETRY_S),
            AGENT_TIMEOUT_S=str(TIMEOUT_S),
        )
        user_id = await synapse.register("a-patient-person", PASSWORD)
        async with bot.daemon as daemon, MatrixUser(synapse.url, user_id, PASSWORD) as person:
            await daemon.wait_live()
            yield Scene(proxy, bot, await onboard(person, bot.user_id))


@pytest.fixture
async def scene(standing_scene: Scene, agent: AgentServer) -> AsyncIterator[Scene]:
    """The scene, with nothing failing at the beginning and at the end."""
    standing_scene.begin()
    yield standing_scene
    standing_scene.proxy.clear_fault()

"""The homeserver's process is gone, at the start or later: the daemon asks, patiently, and goes on (contract L9).

What a homeserver may say that is no homeserver's answer is tried in `faults`; here it is really away.
"""

from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import pytest

from sandbox.agent_script import End, Text, Wait
from sandbox.person import Person
from sandbox.proxy import Proxy
from sandbox.synapse import Synapse
from tests.system.cast import PASSWORD, answer_to, onboard, replies, said
from tests.system.conftest import register_bot

pytestmark = pytest.mark.anyio

# A request that leaves a whole second after the last one may arrive a little less than that after it.
A_SECOND = 0.95
PATIENCE_S = 60.0


@pytest.fixture
async def mortal() -> AsyncIterator[Synapse]:
    """A homeserver that is this test's to stop."""
    async with Synapse() as synapse:
        yield synapse


def waits(passages):
    return [later.at - earlier.at for earlier, later in pairwise(passages)]


async def test_a_start_without_a_homeserver_waits_for_it(mortal, agent, tmp_path):
    async with Proxy(mortal.url) as proxy:
        bot = await register_bot(mortal, tmp_path, agent, MATRIX_HOMESERVER=proxy.url)
        await mortal.stop()
        async with bot.daemon as daemon:
            await proxy.wait_until(lambda: len(proxy.passages) >= 3)
            assert min(waits(proxy.passages)) >= A_SECOND
            await mortal.start()
            await daemon.wait_live(PATIENCE_S)
            assert len(daemon.lines("homeserver_unreachable")) == 1
            assert len(daemon.lines("homeserver_reachable")) == 1
            changes = [line["to"] for line in daemon.lines("bot_state_changed")]
            assert changes == ["login", "initial_sync", "reconcile", "live"]


async def test_an_answer_that_falls_into_an_outage_comes_after_it_once(mortal, agent, tmp_path):
    go_on = anyio.Event()

    async def script(request):
        if request.text == "during":
            yield Wait(go_on)
        yield Text(f"echo: {request.text}")
        yield End()

    agent.script = script
    user_id = await mortal.register("ann", PASSWORD)
    async with Proxy(mortal.url) as proxy, Person(mortal.url, user_id, PASSWORD) as ann:
        bot = await register_bot(mortal, tmp_path, agent, MATRIX_HOMESERVER=proxy.url)
        async with bot.daemon as daemon:
            await daemon.wait_live()
            home = await onboard(ann, bot.user_id)
            opened = len(agent.connections)
            message_id = await ann.send_text(home.chat, "during")
            await agent.connections_opened(opened + 1)
            await mortal.stop()
            went = len(proxy.passages)
            await proxy.wait_until(lambda: len(proxy.passages) >= went + 1)
            go_on.set()
            await proxy.wait_until(lambda: len(proxy.passages) >= went + 2, PATIENCE_S)
            away = proxy.passages[went:]
            assert min(waits(away)) >= A_SECOND
            await mortal.start()
            answer = await answer_to(ann, home.chat, message_id, PATIENCE_S)
            assert said(answer) == "echo: during"
            assert said(await home.ask("after")) == "echo: after"
            assert len(await replies(ann, home.chat)) == 2
            assert len(daemon.lines("homeserver_unreachable")) == 1
            assert len(daemon.lines("homeserver_reachable")) == 1
            assert await daemon.stop() == 0

"""The homeserver's process is gone, at the start or later: the daemon retries slowly, and goes on (contract L9).

What a homeserver may say that is no homeserver's answer is tried in `faults`; here it is really away.
"""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from sandbox.synapse import Synapse
from tests.soak import outage
from tests.support.proxy import Proxy
from tests.system.conftest import register_bot

pytestmark = pytest.mark.anyio

A_SECOND = outage.APART_S
WAIT_S = 60.0


@pytest.fixture
async def mortal() -> AsyncIterator[Synapse]:
    """A homeserver that the test may stop."""
    async with Synapse() as synapse:
        yield synapse


def waits(requests):
    return [later.at - earlier.at for earlier, later in pairwise(requests)]


async def test_a_start_without_a_homeserver_waits_for_it(mortal, agent, tmp_path):
    async with Proxy(mortal.url) as proxy:
        bot = await register_bot(mortal, tmp_path, agent, MATRIX_HOMESERVER=proxy.url)
        await mortal.stop()
        async with bot.daemon as daemon:
            await proxy.wait_until(lambda: len(proxy.requests) >= 3)
            assert min(waits(proxy.requests)) >= A_SECOND
            await mortal.start()
            await daemon.wait_live(WAIT_S)
            assert len(daemon.lines("homeserver_unreachable")) == 1
            assert len(daemon.lines("homeserver_reachable")) == 1
            changes = [line["to"] for line in daemon.lines("bot_state_changed")]
            assert changes == ["login", "initial_sync", "reconcile", "live"]


async def test_answers_during_an_outage_are_sent_once_after_it(anyio_backend):
    # `make outage` is the same for a minute.
    outcome = await outage.run_outage(seconds=10.0)
    assert outcome.least_apart_s >= A_SECOND
    assert 1 <= outcome.requests <= 1 + outcome.away_s
    assert outcome.answer_after_s <= outage.FIRST_ANSWER_WITHIN_S
    assert outcome.log == {"homeserver_unreachable": 1, "homeserver_reachable": 1}
    assert outcome.result.holds, outcome.result
    # Four of the six rooms were created with `!new`; each has one message before the outage and one after it.
    assert outcome.result.messages == outcome.result.replies == 4 + 6 + 6
    assert outcome.holds

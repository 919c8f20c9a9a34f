"""One room is flooded with 500 messages at once: the other rooms are answered as usual (contract D11).

On the homeserver in memory, because a real one does not accept so many messages in a second.
"""

from pathlib import Path

import pytest

from sandbox.daemon import Daemon
from tests.support.agent_script import End, Text
from tests.support.memory_homeserver.process import MemoryHomeserver

pytestmark = pytest.mark.anyio

BOT = "@bot:localhost"
FLOOD = 500
OTHERS = 100
AHEAD = FLOOD / 5
"""The share of the flood that may reach the agent before the last of the other rooms; in order of arrival it is all."""


@pytest.fixture
async def crowd(agent, tmp_path):
    """A homeserver with a chat for each of many users, and a live daemon."""
    environment = {
        "MATRIX_USER_ID": BOT,
        "MATRIX_PASSWORD": "unused",
        "MATRIX_PLATFORM_BACKEND": "real",
        "AGENT_BASE_URL": agent.url,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    async with MemoryHomeserver() as homeserver:
        users = await homeserver.populate(BOT, users=1 + OTHERS)
        async with Daemon(tmp_path, environment | {"MATRIX_HOMESERVER": homeserver.url}) as daemon:
            await daemon.wait_live()
            yield homeserver, [room for user in users for room in user["rooms"]]
            assert await daemon.stop() == 0


async def test_a_flooded_room_does_not_delay_the_others(crowd, agent):
    homeserver, rooms = crowd
    agent.script = lambda request: (Text(request.text), End())
    before = len(agent.requests)
    await homeserver.inject(FLOOD, rooms=1)
    # The flood begins before any other message.
    while (await agent.next_request()).order <= before:
        pass
    await homeserver.inject(1 + OTHERS)
    numbers = await homeserver.wait_finished(FLOOD + 1 + OTHERS, timeout_s=120.0)
    assert numbers["finished"] == FLOOD + 1 + OTHERS
    assert numbers["more_than_one_reply"] == numbers["out_of_order"] == 0
    asked = [request.chat_id for request in agent.requests[before:]]
    flooded = asked[0]
    last_of_the_others = max(broken for broken, chat in enumerate(asked) if chat != flooded)
    assert asked[:last_of_the_others].count(flooded) <= AHEAD
    assert len(set(asked)) == len(rooms)

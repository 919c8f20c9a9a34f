"""More messages than a sync shows, sent while the bot was down, are answered in order (contracts D3, D4, D11)."""

import pytest

from tests.soak import backlog

pytestmark = pytest.mark.anyio


async def test_messages_sent_while_the_bot_was_down_are_answered_once_and_in_order(synapse):
    outcome = await backlog.come_back(messages=300, rooms=10, synapse=synapse)
    assert outcome.result.holds, outcome.result
    # Eight of the rooms were created with `!new`.
    assert outcome.result.messages == outcome.result.replies == 300 + 8
    # In every room there was a gap.
    assert outcome.pages >= 10

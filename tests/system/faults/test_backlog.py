"""More messages than a sync shows came while the bot was down; a flood is handled in order (contracts D3, D4, D11)."""

import pytest

from tests.soak import backlog

pytestmark = pytest.mark.anyio


async def test_what_was_said_while_the_bot_was_down_is_answered_once_and_in_order(synapse):
    outcome = await backlog.come_back(messages=300, rooms=10, synapse=synapse)
    assert outcome.verdict.holds, outcome.verdict
    # `!new` made eight of the rooms.
    assert outcome.verdict.messages == outcome.verdict.replies == 300 + 8
    # In every room there was a gap.
    assert outcome.pages >= 10

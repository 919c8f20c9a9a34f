"""An answer is a reply where the bot's answer before it is between, even if it is sent meanwhile (contract D18)."""

import pytest

from machines.events.agent import AgentEnd, AgentTextChunk
from machines.events.matrix import LastMessageShown, SyncBatch
from machines.events.orders import SendMessage
from machines.ids import SyncToken
from tests.actors.fakes import RuntimeFixture


def relations(fixture: RuntimeFixture) -> list[tuple[str | None, bool]]:
    orders = [order for _, order in fixture.homeserver.performed]
    return [
        (each.answers, each.as_reply)
        for each in orders
        if isinstance(each, SendMessage) and each.edits is None
    ]


@pytest.fixture
def fixture(tmp_path):
    fixture = RuntimeFixture(tmp_path / "a.db")
    fixture.agents.answer = lambda request: (AgentTextChunk("an answer"), AgentEnd(1))
    return fixture


async def test_an_answer_that_is_on_its_way_when_the_next_question_is_read_is_between(fixture):
    (chat,) = fixture.with_chats()
    fixture.homeserver.delay_s = 5.0
    async with fixture.running():
        fixture.homeserver.next_sync(fixture.message(chat, "one"))
        await fixture.clock.advance(1.0)
        fixture.homeserver.next_sync(fixture.message(chat, "two"))
        await fixture.clock.advance(20.0)
        fixture.homeserver.next_sync(fixture.message(chat, "three"))
        await fixture.clock.advance(20.0)
    assert relations(fixture) == [("$1", False), ("$2", True), ("$3", False)]


async def test_an_answer_that_a_sync_shows_after_the_next_question_is_between(fixture):
    (chat,) = fixture.with_chats()
    fixture.agents.silent.add("two")
    async with fixture.running(killed=True):
        fixture.homeserver.next_sync(fixture.message(chat, "one"))
        await fixture.clock.advance(5.0)
        second = fixture.message(chat, "two")
        shown = LastMessageShown(chat, answers=None)
        batch = SyncBatch(SyncToken("s9"), (second,), last_shown=(shown,))
        fixture.homeserver.pending_batches.append(batch)
        fixture.homeserver.next_sync()
        await fixture.clock.advance(5.0)
    fixture.agents.silent.clear()
    async with fixture.running():
        await fixture.clock.advance(5.0)
    assert relations(fixture) == [("$1", False), ("$2", True)]

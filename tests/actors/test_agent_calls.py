"""Calls to agents: at most one per room, and a cancelled call sends no request and no signal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from actors.agent_calls import MAX_FILES, AgentCalls, Limits
from actors.quotes import Quotes
from actors.task_pool import TaskPool
from machines.events.agent import (
    AgentEnd,
    AgentFailure,
    AgentFileOffer,
    AgentRequest,
    AgentTextChunk,
)
from machines.events.effects import CallAgent
from machines.events.internal import AgentDone, AnswerTooLong, CallDelayed, CallStarted
from machines.ids import ActorKey, AgentId, EventId
from machines.turn.answer_text import AnswerText
from tests.actors.fakes import FakeAgents, ManualClock
from tests.idle_loop import settle
from tests.machines.support import ANNA, BERT

ROOM = ActorKey("!room")
NO_QUOTES = Quotes(None)  # type: ignore[arg-type]  # no request here quotes a message
DEFAULTS = Limits()


def call(text: str) -> CallAgent:
    return CallAgent(EventId("$1"), 1, AgentRequest(AgentId("default"), "1", "$1", text), ANNA)


class CallsFixture:
    """Calls to agents that answer at once, with their signals."""

    def __init__(self, limits: Limits) -> None:
        self.agents = FakeAgents()
        self.task_pool = TaskPool(ManualClock())
        self.signals: list[object] = []
        self.recorded: list[AgentFailure | None] = []
        self.calls = AgentCalls(
            self.agents,
            self.task_pool,
            lambda _, event: self.signals.append(event),
            limits,
            self.record,
            NO_QUOTES,
        )

    def record(self, agent_id: AgentId, failure: AgentFailure | None) -> None:
        self.recorded.append(failure)

    @property
    def requests(self) -> list[str]:
        return [request.text for request in self.agents.requests]


@asynccontextmanager
async def open_calls(limits: Limits = DEFAULTS) -> AsyncIterator[CallsFixture]:
    fixture = CallsFixture(limits)
    async with anyio.create_task_group() as group:
        fixture.task_pool.run(group)
        yield fixture
        group.cancel_scope.cancel()


async def test_a_complete_answer_is_signalled_at_its_end():
    async with open_calls() as fixture:
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        assert fixture.signals[-1] == AgentDone(EventId("$1"), 1, "re: hello", 1)


async def test_a_call_that_is_cancelled_before_it_began_asks_no_agent():
    async with open_calls() as fixture:
        fixture.calls.start(ROOM, call("hello"))
        fixture.calls.cancel(ROOM)
        await settle()
        assert (fixture.requests, fixture.signals) == ([], [])


async def test_a_new_call_cancels_the_one_that_is_open():
    async with open_calls() as fixture:
        fixture.agents.silent.add("long")
        fixture.calls.start(ROOM, call("long"))
        await settle()
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        assert fixture.requests == ["long", "hello"]
        assert fixture.agents.closed[0] == "long"


async def test_a_cancelled_call_signals_nothing_more():
    async with open_calls() as fixture:
        fixture.agents.silent.add("long")
        fixture.calls.start(ROOM, call("long"))
        await settle()
        fixture.calls.cancel_all()
        await settle()
        assert (fixture.agents.closed, fixture.signals) == (["long"], [])


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "fits"),
    [
        (("12345", "67890", "1"), "1234567890"),
        (("123456789", "я"), "123456789"),
        (("x" * 5_000_000,), "x" * 10),
        (("яяяяя", " "), "яяяяя"),
    ],
    ids=["one more", "half a character", "a huge piece", "two bytes each"],
)
async def test_an_answer_that_is_too_long_is_cut_and_the_call_closed(pieces, fits):
    async with open_calls(Limits(answer_bytes=10)) as fixture:
        fixture.agents.answer = lambda _: (*map(AgentTextChunk, pieces), AgentEnd(1))
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        assert fixture.signals[-1] == AnswerTooLong(EventId("$1"), 1, AnswerText(fits))
        assert fixture.agents.closed == ["hello"]


async def test_an_answer_of_the_maximum_length_is_complete():
    async with open_calls(Limits(answer_bytes=10)) as fixture:
        fixture.agents.answer = lambda _: (
            AgentTextChunk("12345"),
            AgentTextChunk("67890"),
            AgentEnd(1),
        )
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        assert fixture.signals[-1] == AgentDone(EventId("$1"), 1, "1234567890", 1)


async def test_the_number_of_files_is_limited():
    async with open_calls() as fixture:
        offers = [AgentFileOffer(f"file {number}") for number in range(MAX_FILES + 100)]
        fixture.agents.answer = lambda _: (*offers, AgentEnd(1))
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        done = fixture.signals[-1]
        assert isinstance(done, AgentDone)
        assert done.files == tuple(offer.path for offer in offers[:MAX_FILES])


async def test_a_delayed_call_signals_the_delay_and_its_start():
    async with open_calls(Limits(calls=1)) as fixture:
        fixture.agents.silent.add("long")
        fixture.calls.start(ActorKey("!other"), call("long"))
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        assert fixture.signals == [CallDelayed(EventId("$1"), 1)]
        fixture.calls.cancel(ActorKey("!other"))
        await settle()
        assert fixture.signals[1] == CallStarted(EventId("$1"), 1)
        assert isinstance(fixture.signals[-1], AgentDone)


async def test_a_call_that_is_cancelled_while_it_waits_asks_no_agent():
    async with open_calls(Limits(calls=1)) as fixture:
        fixture.agents.silent.add("long")
        fixture.calls.start(ActorKey("!other"), call("long"))
        fixture.calls.start(ROOM, call("hello"))
        await settle()
        fixture.calls.cancel(ROOM)
        fixture.calls.cancel(ActorKey("!other"))
        await settle()
        assert fixture.requests == ["long"]
        fixture.calls.start(ROOM, call("again"))
        await settle()
        assert isinstance(fixture.signals[-1], AgentDone)


async def test_a_silent_agent_with_many_rooms_leaves_a_call_for_another_agent():
    async with open_calls(Limits(calls=20)) as fixture:
        fixture.agents.silent.add("long")
        for number in range(100):
            fixture.calls.start(ActorKey(f"!{number}"), call("long"))
        await settle()
        assert 5 < len(fixture.requests) < 20
        request = AgentRequest(AgentId("other"), "1", "$2", "hello")
        fixture.calls.start(ROOM, CallAgent(EventId("$2"), 1, request, BERT))
        await settle()
        assert isinstance(fixture.signals[-1], AgentDone)

"""Calls to agents: at most one per room, and a cancelled call asks nothing and signals nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from actors.agent_calls import MAX_FILES, AgentCalls, Limits
from actors.task_pool import TaskPool
from machines.events.agent import AgentEnded, AgentOffersFile, AgentRequest, AgentSaid
from machines.events.effects import CallAgent
from machines.events.internal import AgentDone, AnswerTooLong, CallDelayed, CallStarted
from machines.ids import ActorKey, AgentId, EventId
from machines.turn.answer_text import AnswerText
from tests.actors.fakes import FakeAgents, ManualClock
from tests.idle_loop import settle
from tests.machines.support import ANNA, BERT

ROOM = ActorKey("!room")
DEFAULTS = Limits()


def asks(text: str) -> CallAgent:
    return CallAgent(EventId("$1"), 1, AgentRequest(AgentId("default"), "1", "$1", text), ANNA)


class Line:
    """Calls to agents that answer at once, and what is told of them."""

    def __init__(self, limits: Limits) -> None:
        self.agents = FakeAgents()
        self.task_pool = TaskPool(ManualClock())
        self.told: list[object] = []
        self.calls = AgentCalls(
            self.agents, self.task_pool, lambda _, event: self.told.append(event), limits
        )

    @property
    def reply_to(self) -> list[str]:
        return [request.text for request in self.agents.reply_to]


@asynccontextmanager
async def open_line(limits: Limits = DEFAULTS) -> AsyncIterator[Line]:
    line = Line(limits)
    async with anyio.create_task_group() as group:
        line.task_pool.run(group)
        yield line
        group.cancel_scope.cancel()


async def test_a_complete_answer_is_signalled_at_its_end():
    async with open_line() as line:
        line.calls.start(ROOM, asks("hello"))
        await settle()
        assert line.told[-1] == AgentDone(EventId("$1"), 1, "re: hello", 1)


async def test_a_call_that_is_cancelled_before_it_began_asks_no_agent():
    async with open_line() as line:
        line.calls.start(ROOM, asks("hello"))
        line.calls.cancel(ROOM)
        await settle()
        assert (line.reply_to, line.told) == ([], [])


async def test_a_new_call_cancels_the_one_that_is_open():
    async with open_line() as line:
        line.agents.mute.add("long")
        line.calls.start(ROOM, asks("long"))
        await settle()
        line.calls.start(ROOM, asks("hello"))
        await settle()
        assert line.reply_to == ["long", "hello"]
        assert line.agents.closed[0] == "long"


async def test_a_cancelled_call_signals_nothing_more():
    async with open_line() as line:
        line.agents.mute.add("long")
        line.calls.start(ROOM, asks("long"))
        await settle()
        line.calls.cancel_all()
        await settle()
        assert (line.agents.closed, line.told) == (["long"], [])


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
    async with open_line(Limits(answer_bytes=10)) as line:
        line.agents.says = lambda _: (*map(AgentSaid, pieces), AgentEnded(1))
        line.calls.start(ROOM, asks("hello"))
        await settle()
        assert line.told[-1] == AnswerTooLong(EventId("$1"), 1, AnswerText(fits))
        assert line.agents.closed == ["hello"]


async def test_an_answer_of_the_maximum_length_is_complete():
    async with open_line(Limits(answer_bytes=10)) as line:
        line.agents.says = lambda _: (AgentSaid("12345"), AgentSaid("67890"), AgentEnded(1))
        line.calls.start(ROOM, asks("hello"))
        await settle()
        assert line.told[-1] == AgentDone(EventId("$1"), 1, "1234567890", 1)


async def test_the_number_of_files_is_limited():
    async with open_line() as line:
        offers = [AgentOffersFile(f"file {number}") for number in range(MAX_FILES + 100)]
        line.agents.says = lambda _: (*offers, AgentEnded(1))
        line.calls.start(ROOM, asks("hello"))
        await settle()
        done = line.told[-1]
        assert isinstance(done, AgentDone)
        assert done.files == tuple(offer.path for offer in offers[:MAX_FILES])


async def test_a_delayed_call_signals_the_delay_and_its_start():
    async with open_line(Limits(calls=1)) as line:
        line.agents.mute.add("long")
        line.calls.start(ActorKey("!other"), asks("long"))
        line.calls.start(ROOM, asks("hello"))
        await settle()
        assert line.told == [CallDelayed(EventId("$1"), 1)]
        line.calls.cancel(ActorKey("!other"))
        await settle()
        assert line.told[1] == CallStarted(EventId("$1"), 1)
        assert isinstance(line.told[-1], AgentDone)


async def test_a_call_that_is_cancelled_while_it_waits_asks_no_agent():
    async with open_line(Limits(calls=1)) as line:
        line.agents.mute.add("long")
        line.calls.start(ActorKey("!other"), asks("long"))
        line.calls.start(ROOM, asks("hello"))
        await settle()
        line.calls.cancel(ROOM)
        line.calls.cancel(ActorKey("!other"))
        await settle()
        assert line.reply_to == ["long"]
        line.calls.start(ROOM, asks("again"))
        await settle()
        assert isinstance(line.told[-1], AgentDone)


async def test_a_silent_agent_with_many_rooms_leaves_a_call_for_another_agent():
    async with open_line(Limits(calls=20)) as line:
        line.agents.mute.add("long")
        for number in range(100):
            line.calls.start(ActorKey(f"!{number}"), asks("long"))
        await settle()
        assert 5 < len(line.reply_to) < 20
        request = AgentRequest(AgentId("other"), "1", "$2", "hello")
        line.calls.start(ROOM, CallAgent(EventId("$2"), 1, request, BERT))
        await settle()
        assert isinstance(line.told[-1], AgentDone)

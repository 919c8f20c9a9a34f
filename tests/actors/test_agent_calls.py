"""Calls to agents: at most one a room, and nothing is asked or heard any more once it is hung up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from actors.agent_calls import AgentCalls
from actors.workers import Workers
from machines.effects import Ask
from machines.happenings import AgentDone
from machines.ids import ActorKey, AgentId, EventId
from machines.talk import AgentRequest
from tests.actors.fakes import FakeAgents, ManualClock, settle

ROOM = ActorKey("!room")


def asks(text: str) -> Ask:
    return Ask(EventId("$1"), 1, AgentRequest(AgentId("default"), "1", "$1", text))


class Line:
    """Calls to agents that answer at once, and what is told of them."""

    def __init__(self) -> None:
        self.agents = FakeAgents()
        self.workers = Workers(ManualClock())
        self.told: list[object] = []
        self.calls = AgentCalls(self.agents, self.workers, lambda _, event: self.told.append(event))

    @property
    def asked(self) -> list[str]:
        return [request.text for request in self.agents.asked]


@asynccontextmanager
async def open_line() -> AsyncIterator[Line]:
    line = Line()
    async with anyio.create_task_group() as group:
        line.workers.run(group)
        yield line
        group.cancel_scope.cancel()


async def test_an_answer_is_told_whole_at_its_end():
    async with open_line() as line:
        line.calls.ask(ROOM, asks("hello"))
        await settle()
        assert line.told[-1] == AgentDone(EventId("$1"), 1, "re: hello", 1)


async def test_a_call_that_is_hung_up_before_it_began_asks_nobody():
    async with open_line() as line:
        line.calls.ask(ROOM, asks("hello"))
        line.calls.hang_up(ROOM)
        await settle()
        assert (line.asked, line.told) == ([], [])


async def test_a_new_call_closes_the_one_that_is_open():
    async with open_line() as line:
        line.agents.mute.add("long")
        line.calls.ask(ROOM, asks("long"))
        await settle()
        line.calls.ask(ROOM, asks("hello"))
        await settle()
        assert line.asked == ["long", "hello"]
        assert line.agents.closed[0] == "long"


async def test_whoever_hangs_up_hears_no_more():
    async with open_line() as line:
        line.agents.mute.add("long")
        line.calls.ask(ROOM, asks("long"))
        await settle()
        line.calls.hang_up_all()
        await settle()
        assert (line.agents.closed, line.told) == (["long"], [])

"""The cost of a long answer in small pieces is linear: no text is copied, split or stored twice."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest

from actors.agent_calls import AgentCalls, Limits
from actors.cell import ActorCell
from actors.context import ContextProvider
from actors.quotes import Quotes
from actors.task_pool import TaskPool
from machines.context import StepContext
from machines.events.agent import AgentEnd, AgentRequest, AgentTextChunk, Frame
from machines.events.effects import CallAgent
from machines.events.internal import TimePassed
from machines.events.matrix import MessageArrived
from machines.ids import ActorKey, EventId
from machines.turn import reply, split
from machines.turn.answer_text import AnswerText
from store.codec import dump
from store.records import InboxRow, RoomRows
from tests.actors.fakes import ManualClock
from tests.machines.support import ANNA, ROOM, chat_room, make_context

KEY = ActorKey(ROOM)
CHUNK = "nineteen characters"
A_CHUNK_S = 0.01


class TestContext(ContextProvider):
    """Provides contexts at a time that the test sets."""

    __test__ = False

    def __init__(self) -> None:
        self.now = 1000.0

    def step_context(self) -> StepContext:
        return make_context(self.now)


class ChunkedAgent:
    """An agent that answers in this number of chunks."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        for number in range(self.chunks):
            yield AgentTextChunk(f"{CHUNK}\n" if number % 9 else f"{CHUNK}\n\n")
        yield AgentEnd(1)


class Counted:
    """Counts the characters that were copied, split, compared and stored in rows."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.characters = 0
        since = AnswerText.since
        patch.setattr(AnswerText, "since", lambda it, offset: self.add(since(it, offset)))
        for module, name in (
            (reply, "checksum"),
            (split, "split"),
            (split, "finished_parts"),
        ):
            patch.setattr(f"machines.turn.reply.{name}", self.counting(getattr(module, name)))

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda text, *more: function(self.add(text), *more)

    def add(self, text: str) -> str:
        self.characters += len(text)
        return text


NO_QUOTES = Quotes(None)  # type: ignore[arg-type]  # no request here quotes a message


async def work(chunks: int) -> int:
    """Let an agent answer in this number of chunks, process each chunk, and return the work in characters."""
    context_provider, cell = TestContext(), ActorCell(KEY, RoomRows(chat_room(), None, ()))
    question = MessageArrived(ROOM, EventId("$1"), ANNA, "tell me everything", 0)
    orders = 0

    with pytest.MonkeyPatch.context() as patch:
        counted = Counted(patch)

        def process() -> list[object]:
            nonlocal orders
            batch = cell.process_batch(context_provider)
            cell.apply(batch)
            if batch.unit_of_work.turn is not None:
                counted.add(dump(batch.unit_of_work.turn))
            orders += len(batch.unit_of_work.orders)
            return list(batch.volatile)

        def signal(key: ActorKey, event: object) -> None:
            cell.signal(event)
            process()
            context_provider.now += A_CHUNK_S
            if (due := cell.due_at()) is not None and due <= context_provider.now:
                cell.signal(TimePassed())
                process()

        cell.deliver([InboxRow(1, KEY, question)])
        (ask,) = [effect for effect in process() if isinstance(effect, CallAgent)]
        task_pool = TaskPool(ManualClock())
        async with anyio.create_task_group() as group:
            task_pool.run(group)
            calls = AgentCalls(
                ChunkedAgent(chunks), task_pool, signal, Limits(), lambda *_: None, NO_QUOTES
            )
            calls.start(KEY, ask)
            with anyio.fail_after(60):
                while not cell.caught_up:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert orders > chunks / 1000
    return counted.characters


@pytest.mark.slow
async def test_twice_the_chunks_are_twice_the_work():
    once, twice = await work(5_000), await work(10_000)
    assert twice < 2.5 * once

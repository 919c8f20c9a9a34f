"""The built-in agent: answers in process and streams, to try everything without a platform.

It satisfies the same port as `RealPlatform` (contract A6). What it answers is `playground`'s; this
module remembers conversations, replays an answer when a turn is tried again under its `message_id`,
keeps the pace, and writes the files that it offers.
"""

import os
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from agent_platform.mock.answers import (
    Conversation,
    Pause,
    Plan,
    Silence,
    Step,
    WriteAndOffer,
    plan_answer,
)
from machines.ids import AgentId
from machines.talk import AgentBroke, AgentOffersFile, AgentRequest, AgentSaid, Frame

PACE_S = 0.03
"""Seconds a word: slow enough to be seen streaming."""
MAX_CHUNKS = 600
MAX_CONVERSATIONS = 1_000
MAX_ANSWERS = 50
"""Answers remembered in one conversation; only the last is ever asked for again."""


@dataclass(slots=True)
class _Answer:
    plan: Plan
    tries: int = 0


@dataclass(slots=True)
class _Memory:
    conversation: Conversation = field(default_factory=Conversation)
    answers: OrderedDict[str, _Answer] = field(default_factory=OrderedDict)


class MockPlatform:
    """An agent platform without agents.

    Args:
        pace_s: seconds between two words; a very long text comes in larger pieces.
        silence_s: how long a silent agent is waited for, as `AGENT_TIMEOUT_S` would.
        workspace: finds an agent's workspace directory; without one, no file can be offered.
        sleep: waits; tests give one that does not.
    """

    def __init__(
        self,
        *,
        pace_s: float = PACE_S,
        silence_s: float = 30.0,
        workspace: Callable[[AgentId], Path | None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._pace_s = pace_s
        self._silence_s = silence_s
        self._workspace = workspace or (lambda _agent_id: None)
        self._sleep = sleep
        self._memories: OrderedDict[tuple[AgentId, str], _Memory] = OrderedDict()

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Ask once and yield frames up to one terminal frame; closing the generator hangs up."""
        workspace = self._workspace(request.agent_id)
        sizes = await anyio.to_thread.run_sync(_sizes, workspace, request.attachments)
        answer = self._answer_to(request, sizes)
        answer.tries += 1
        steps = answer.plan.steps
        if answer.tries == 1 and answer.plan.first_try is not None:
            steps = answer.plan.first_try
        for step in steps:
            async for frame in self._performed(step, workspace):
                yield frame

    def _answer_to(self, request: AgentRequest, sizes: dict[str, int | None]) -> _Answer:
        key = (request.agent_id, request.platform_chat_id)
        memory = self._memories.setdefault(key, _Memory())
        self._memories.move_to_end(key)
        if len(self._memories) > MAX_CONVERSATIONS:
            self._memories.popitem(last=False)
        answer = memory.answers.get(request.message_id)
        if answer is None:
            answer = _Answer(plan_answer(request, memory.conversation, sizes))
            memory.answers[request.message_id] = answer
            if len(memory.answers) > MAX_ANSWERS:
                memory.answers.popitem(last=False)
        return answer

    async def _performed(self, step: Step, workspace: Path | None) -> AsyncGenerator[Frame, None]:
        match step:
            case AgentSaid(text):
                for piece in _pieces(text):
                    await self._sleep(self._pace_s)
                    yield AgentSaid(piece)
            case Pause(seconds):
                await self._sleep(seconds)
            case Silence():
                await self._sleep(self._silence_s)
                yield AgentBroke("silent", f"the agent said nothing for {self._silence_s:g} s")
            case WriteAndOffer(path, content):
                if await anyio.to_thread.run_sync(_write, workspace, path, content):
                    yield AgentOffersFile(path)
                else:
                    yield AgentSaid("(There is no workspace that I can write to.) ")
            case _:
                yield step


def _pieces(text: str) -> list[str]:
    """Cut a text into words with the space behind them, several a piece when there are many."""
    words = re.findall(r"\S+\s*|\s+", text) or [text]
    size = -(-len(words) // MAX_CHUNKS)
    return ["".join(words[i : i + size]) for i in range(0, len(words), size)]


def _sizes(workspace: Path | None, paths: tuple[str, ...]) -> dict[str, int | None]:
    return {path: _size(workspace, path) for path in paths}


def _size(workspace: Path | None, path: str) -> int | None:
    if workspace is None:
        return None
    try:
        return (workspace / path).lstat().st_size
    except (OSError, ValueError):
        return None


def _write(workspace: Path | None, path: str, content: str) -> bool:
    """Write a file of the agent's own; False when there is no place for it.

    The workspace is made by whoever runs the platform, never by this stand-in.
    """
    if workspace is None or not workspace.is_dir():
        return False
    target = workspace / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link that someone put there is not followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o644), "w", encoding="utf-8") as stream:
            stream.write(content)
    except OSError:
        return False
    return True

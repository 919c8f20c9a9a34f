"""The mock agent platform: answers in process, without any network (contract A6).

It implements the same port as `RealPlatform`. `answers` composes an answer; this module stores the context of each
chat, replays the answer when a turn is retried with the same `message_id`, streams it word by word, and writes the
files that it sends.
"""

import os
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import anyio
import anyio.to_thread

from agent_platform.mock.answers import (
    CreateFile,
    MockContext,
    Pause,
    Silence,
    Step,
    Steps,
    compose_answer,
)
from agent_platform.mock.texts import Texts, texts_for
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentFileOffer,
    AgentRequest,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    Frame,
)
from machines.ids import AgentId

WORD_DELAY_S = 0.03
"""Seconds between two words: slow enough to see the answer grow."""
MAX_CHUNKS = 600
MAX_CONTEXTS = 1_000
MAX_ANSWERS = 50
"""Maximum number of stored answers in each chat; only the last one is ever retried."""


@dataclass(slots=True)
class _Chat:
    """The context of a chat, and the steps that a retry of each recent message performs."""

    context: MockContext = field(default_factory=MockContext)
    retries: OrderedDict[str, Steps] = field(default_factory=OrderedDict)


class MockPlatform:
    """An agent platform that needs no agents.

    Args:
        word_delay_s: seconds between two words; a very long text is sent in larger pieces.
        silence_s: seconds until the phrase `silent` times out, as with `AGENT_TIMEOUT_S`.
        workspace: returns the workspace directory of an agent; without one, no file can be sent.
        locale: the language of the answers where a request chooses no other, `en` or `ru`.
        sleep: waits for some seconds; tests replace it.
    """

    def __init__(
        self,
        *,
        word_delay_s: float = WORD_DELAY_S,
        silence_s: float = 30.0,
        workspace: Callable[[AgentId], Path | None] | None = None,
        locale: str = "en",
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._word_delay_s = word_delay_s
        self._silence_s = silence_s
        self._workspace = workspace or (lambda _agent_id: None)
        self._locale = locale
        self._sleep = sleep
        self._chats: OrderedDict[tuple[AgentId, str], _Chat] = OrderedDict()

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send the request once and yield frames up to one terminal frame."""
        workspace = self._workspace(request.agent_id)
        sizes = await anyio.to_thread.run_sync(_sizes, workspace, request.attachments)
        texts = texts_for(request.settings, self._locale)
        for step in self._steps(request, sizes):
            async for frame in self._perform(step, workspace, texts):
                yield frame

    def _steps(self, request: AgentRequest, sizes: dict[str, int | None]) -> Steps:
        key = (request.agent_id, request.platform_chat_id)
        chat = self._chats.setdefault(key, _Chat())
        self._chats.move_to_end(key)
        if len(self._chats) > MAX_CONTEXTS:
            self._chats.popitem(last=False)
        if request.message_id in chat.retries:
            return chat.retries[request.message_id]
        answer = compose_answer(request, chat.context, sizes, self._locale)
        chat.retries[request.message_id] = answer.steps
        if len(chat.retries) > MAX_ANSWERS:
            chat.retries.popitem(last=False)
        return answer.steps if answer.first_attempt is None else answer.first_attempt

    async def _perform(
        self, step: Step, workspace: Path | None, texts: Texts
    ) -> AsyncGenerator[Frame, None]:
        match step:
            case AgentTextChunk(text):
                for piece in _pieces(text):
                    await self._sleep(self._word_delay_s)
                    yield AgentTextChunk(piece)
            case Pause(seconds):
                await self._sleep(seconds)
            case Silence():
                await self._sleep(self._silence_s)
                yield AgentFailure("silent", f"the agent sent nothing for {self._silence_s:g} s")
            case CreateFile(path, content):
                if await anyio.to_thread.run_sync(_write, workspace, path, content):
                    yield AgentFileOffer(path)
                else:
                    yield AgentTextChunk(texts("no_workspace"))
            case (
                AgentToolCall()
                | AgentToolResult()
                | AgentCustomUpdate()
                | AgentFileOffer()
                | AgentEnd()
                | AgentError()
                | AgentFailure()
            ):
                yield step
            case _:
                assert_never(step)


def _pieces(text: str) -> list[str]:
    """Split a text into words with the space that follows, several to a piece where there are many."""
    words = re.findall(r"\S+\s*|\s+", text) or [text]
    size = -(-len(words) // MAX_CHUNKS)
    return ["".join(words[i : i + size]) for i in range(0, len(words), size)]


def _sizes(workspace: Path | None, paths: tuple[str, ...]) -> dict[str, int | None]:
    sizes: dict[str, int | None] = dict.fromkeys(paths)
    if workspace is not None:
        for path in paths:
            with suppress(OSError, ValueError):
                sizes[path] = (workspace / path).lstat().st_size
    return sizes


def _write(workspace: Path | None, path: str, content: str) -> bool:
    """Write a file; return whether it was written. The workspace itself is never created here."""
    if workspace is None or not workspace.is_dir():
        return False
    target = workspace / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # O_NOFOLLOW: a symbolic link at this path is refused.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o644), "w", encoding="utf-8") as stream:
            stream.write(content)
    except OSError:
        return False
    return True

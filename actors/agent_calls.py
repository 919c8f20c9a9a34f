"""Calls to agents: one task each, outside of every step; the results are signalled to the room's actor.

A slow agent occupies a task, a socket and a slot, nothing else (contract D11), and no agent or user can get all slots
(`call_limiter`). A call is one attempt of one turn, and each of its events carries the attempt's number. The memory for
one answer is bounded (contract E13).
"""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, assert_never

import anyio
import structlog
from msgspec.structs import replace

from actors.call_limiter import Caller, CallLimiter
from actors.ports import AgentPlatform
from actors.quotes import Quotes
from actors.task_pool import TaskPool
from machines.events.agent import (
    AGENT_BUSY,
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentFileOffer,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    Frame,
)
from machines.events.effects import CallAgent
from machines.events.internal import (
    Activity,
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    CallStarted,
    Confirmation,
)
from machines.ids import ActorKey, AgentId, RoomId
from machines.turn.answer_text import AnswerText
from machines.turn.fault import shown_kind

REPORTED = "the agent reported this error; its own log has the details"
"""The reason of an attempt that ended with an `ERROR`: its details may quote the conversation."""
MAX_FILES = 20
"""Maximum number of files of one answer; further offers are ignored."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of open calls, and maximum length of an answer in UTF-8 bytes."""

    calls: int = 2000
    answer_bytes: int = 512 * 1024


class AgentCalls:
    """Runs the calls, at most one per room.

    `record` is called for each failed call, and without a failure for each frame of an answer.
    """

    def __init__(
        self,
        platform: AgentPlatform,
        task_pool: TaskPool,
        signal: Callable[[ActorKey, object], None],
        limits: Limits,
        record: Callable[[AgentId, AgentFailure | None], None],
        quotes: Quotes,
    ) -> None:
        self._platform = platform
        self._quotes = quotes
        self._task_pool = task_pool
        self._signal = signal
        self._record = record
        self._calls: dict[ActorKey, anyio.CancelScope] = {}
        self._answer_bytes = limits.answer_bytes
        self._limiter = CallLimiter(limits.calls)

    def start(self, key: ActorKey, call: CallAgent) -> None:
        """Start a call; cancel the one that is still open for this room."""
        self.cancel(key)
        scope = self._calls[key] = anyio.CancelScope()
        self._task_pool.start(self._run, key, call, scope)

    def cancel(self, key: ActorKey) -> None:
        """Cancel the room's call, if there is one; it sends no further signal."""
        scope = self._calls.pop(key, None)
        if scope is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        """Cancel every call; the turns stay in their rows, and the next process starts the calls again."""
        for key in tuple(self._calls):
            self.cancel(key)

    async def _run(self, key: ActorKey, call: CallAgent, scope: anyio.CancelScope) -> None:
        # It may be cancelled before its task starts.
        if not scope.cancel_called:
            with scope:
                # Before the call counts as open: a slow homeserver must not occupy the calls of others.
                request = await self._quotes.add_to(call.request, RoomId(key))
                caller = Caller(call.request.agent_id, call.user_id)
                if not self._limiter.try_acquire(caller):
                    self._signal(key, CallDelayed(call.turn_id, call.attempt))
                    await self._limiter.acquire(caller)
                    self._signal(key, CallStarted(call.turn_id, call.attempt))
                try:
                    await self._read_answer(key, replace(call, request=request))
                finally:
                    self._limiter.release(caller)
        if self._calls.get(key) is scope:
            del self._calls[key]

    async def _read_answer(self, key: ActorKey, call: CallAgent) -> None:
        turn_id, attempt = call.turn_id, call.attempt
        text = AnswerText()
        activity: Activity | None = None
        confirmation: Confirmation | None = None
        files: list[str] = []
        free_bytes = self._answer_bytes
        _debug("agent_called", key, call)
        async with aclosing(self._platform.ask(call.request)) as frames:
            async for frame in frames:
                self._note(key, call, frame)
                match frame:
                    case AgentTextChunk(text=piece):
                        data = piece.encode("utf-8", "replace")
                        if len(data) > free_bytes:
                            text = text.grown(data[:free_bytes].decode("utf-8", "ignore"))
                            self._signal(key, AnswerTooLong(turn_id, attempt, text))
                            return
                        free_bytes -= len(data)
                        text = text.grown(piece)
                    case AgentToolCall(tool_name=name):
                        activity = Activity("tool", name)
                    case AgentToolResult():
                        activity = None
                    case AgentCustomUpdate(payload=payload):
                        confirmation = _confirmation(payload) or confirmation
                        activity = _progress(payload)
                    case AgentFileOffer(path=path):
                        if len(files) < MAX_FILES:
                            files.append(path)
                    case AgentEnd(tokens_used=tokens):
                        done = AgentDone(
                            turn_id, attempt, str(text), tokens, confirmation, tuple(files)
                        )
                        self._signal(key, done)
                        return
                    case AgentError(code=code):
                        failed = AttemptFailed(turn_id, attempt, code, REPORTED, code == AGENT_BUSY)
                        self._signal(key, failed)
                        return
                    case AgentFailure(kind=kind, reason=reason):
                        failed = AttemptFailed(turn_id, attempt, kind, reason, retryable=True)
                        self._signal(key, failed)
                        return
                    case _:
                        assert_never(frame)
                self._signal(key, AgentOutput(turn_id, attempt, text, activity))

    def _note(self, key: ActorKey, call: CallAgent, frame: Frame) -> None:
        """Log a failed attempt, and record whether the agent can be reached."""
        if isinstance(frame, AgentFailure):
            _debug("agent_call_failed", key, call, kind=frame.kind, reason=frame.reason)
        elif isinstance(frame, AgentError):
            # The details are a text of the agent, which may quote the message (contract E9).
            _debug("agent_call_failed", key, call, kind=shown_kind(frame.code))
        self._record(call.request.agent_id, frame if isinstance(frame, AgentFailure) else None)


def _debug(event: str, key: ActorKey, call: CallAgent, **fields: str) -> None:
    structlog.get_logger().debug(
        event,
        room_id=key,
        turn=call.turn_id,
        agent=call.request.agent_id,
        attempt=call.attempt,
        **fields,
    )


def _confirmation(payload: Mapping[str, Any]) -> Confirmation | None:
    """Return the question in a custom update; `agent_platform` has checked its fields."""
    if payload.get("kind") != "confirmation":
        return None
    return Confirmation(payload["id"], payload["title"], payload["description"])


def _progress(payload: Mapping[str, Any]) -> Activity | None:
    """Return the step that a custom update reports, if it names one."""
    text = payload.get("text")
    return Activity("progress", text) if isinstance(text, str) and text.strip() else None

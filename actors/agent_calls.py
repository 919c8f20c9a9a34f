"""Asking agents: one worker a question, outside of every step; what is said comes back to the room's mailbox.

A slow agent holds a task, a socket and a slot, nothing else (contract D11), and nobody can take all slots
(`call_slots`). A call belongs to one try of one turn; words of an earlier try are told apart by the attempt they
carry. What is held of one answer is bounded, whatever the agent sends (contract E13).
"""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio

from actors.call_slots import CallSlots, Party
from actors.ports import AgentPlatform
from actors.workers import Workers
from machines.draft import AnswerText
from machines.effects import Ask
from machines.happenings import (
    Activity,
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    CallStarted,
    Confirmation,
)
from machines.ids import ActorKey
from machines.talk import (
    AgentBroke,
    AgentEnded,
    AgentOffersFile,
    AgentRefused,
    AgentReported,
    AgentSaid,
    AgentToolDone,
    AgentUsesTool,
)

BUSY = "AGENT_BUSY"
"""The one error code that is worth another try (agent protocol)."""
MAX_FILES = 20
"""How many files of one answer are looked at; an agent that offers more is not listened to."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls may be open at once, and how much of an answer is shown, in UTF-8 bytes."""

    calls: int = 2000
    answer_bytes: int = 512 * 1024


class AgentCalls:
    """Asks agents, each in a worker of its own; at most one call a room."""

    def __init__(
        self,
        platform: AgentPlatform,
        workers: Workers,
        tell: Callable[[ActorKey, object], None],
        limits: Limits,
    ) -> None:
        self._platform = platform
        self._workers = workers
        self._tell = tell
        self._calls: dict[ActorKey, anyio.CancelScope] = {}
        self._answer_bytes = limits.answer_bytes
        self._slots = CallSlots(limits.calls)

    def ask(self, key: ActorKey, ask: Ask) -> None:
        """Begin a call; one that is still open for this room is closed."""
        self.hang_up(key)
        scope = self._calls[key] = anyio.CancelScope()
        self._workers.start(self._call, key, ask, scope)

    def hang_up(self, key: ActorKey) -> None:
        """Close the room's call, if there is one; nothing more is heard of it."""
        scope = self._calls.pop(key, None)
        if scope is not None:
            scope.cancel()

    def hang_up_all(self) -> None:
        """Close every call; the turns stay in their rows and are asked again by the next process."""
        for key in tuple(self._calls):
            self.hang_up(key)

    async def _call(self, key: ActorKey, ask: Ask, scope: anyio.CancelScope) -> None:
        # It may be hung up before its worker begins.
        if not scope.cancel_called:
            with scope:
                party = Party(ask.request.agent_id, ask.user_id)
                if not self._slots.enter(party):
                    self._tell(key, CallDelayed(ask.turn_id, ask.attempt))
                    await self._slots.wait(party)
                    self._tell(key, CallStarted(ask.turn_id, ask.attempt))
                try:
                    await self._listen(key, ask)
                finally:
                    self._slots.leave(party)
        if self._calls.get(key) is scope:
            del self._calls[key]

    async def _listen(self, key: ActorKey, ask: Ask) -> None:
        turn_id, attempt = ask.turn_id, ask.attempt
        heard = AnswerText()
        activity: Activity | None = None
        asks: Confirmation | None = None
        files: list[str] = []
        room_bytes = self._answer_bytes
        async with aclosing(self._platform.ask(ask.request)) as frames:
            async for frame in frames:
                match frame:
                    case AgentSaid(text=more):
                        data = more.encode("utf-8", "replace")
                        if len(data) > room_bytes:
                            heard = heard.grown(data[:room_bytes].decode("utf-8", "ignore"))
                            self._tell(key, AnswerTooLong(turn_id, attempt, heard))
                            return
                        room_bytes -= len(data)
                        heard = heard.grown(more)
                    case AgentUsesTool(tool_name=name):
                        activity = Activity("tool", name)
                    case AgentToolDone():
                        activity = None
                    case AgentReported(payload=payload):
                        asks = _confirmation(payload) or asks
                        activity = _progress(payload)
                    case AgentOffersFile(path=path):
                        if len(files) < MAX_FILES:
                            files.append(path)
                    case AgentEnded(tokens_used=tokens):
                        text, offered = str(heard), tuple(files)
                        done = AgentDone(turn_id, attempt, text, tokens, asks, offered)
                        self._tell(key, done)
                        return
                    case AgentRefused(code=code, details=details):
                        retryable = code == BUSY
                        trouble = AttemptFailed(turn_id, attempt, code, details, retryable)
                        self._tell(key, trouble)
                        return
                    case AgentBroke(kind=kind, reason=reason):
                        trouble = AttemptFailed(turn_id, attempt, kind, reason, retryable=True)
                        self._tell(key, trouble)
                        return
                self._tell(key, AgentOutput(turn_id, attempt, heard, activity))


def _confirmation(payload: Mapping[str, Any]) -> Confirmation | None:
    """Return the question that a custom update asks; the edge has checked its fields."""
    if payload.get("kind") != "confirmation":
        return None
    return Confirmation(payload["id"], payload["title"], payload["description"])


def _progress(payload: Mapping[str, Any]) -> Activity | None:
    """Return the step that a custom update reports, where it has words for it."""
    text = payload.get("text")
    return Activity("progress", text) if isinstance(text, str) and text.strip() else None

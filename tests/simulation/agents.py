"""The simulated agents: they answer requests or fail at any frame, and record what they answered."""

from collections.abc import AsyncGenerator, Callable

import anyio

from machines.events.agent import (
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentRequest,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    Frame,
)
from machines.ids import AgentId, UserId
from tests.simulation.faults import Faults
from tests.simulation.kernel import Kernel
from tests.simulation.process import Process

SILENCE_S = 30.0
_WORDS = ("alpha ", "beta ", "gamma ", "delta ", "line\n", "epsilon ", "paragraph\n\n")


class Agents:
    """The registry of single-agent mode, as the machines see it."""

    def default_for(self, user_id: UserId) -> AgentId:
        """Return the one agent."""
        return AgentId("default")

    def knows(self, agent_id: AgentId) -> bool:
        """Return True: a single agent is never stale."""
        return True

    def all(self) -> tuple[AgentId, ...]:
        """Return the one agent."""
        return (AgentId("default"),)

    def label(self, agent_id: AgentId) -> str:
        """Return its id."""
        return agent_id


class AgentModel:
    """Answers as every agent.

    By message id, `answers` are the complete answers, `begun` also those that were not finished, `refusals` the error
    codes, and `troubles` counts the failures.
    """

    def __init__(
        self, kernel: Kernel, faults: Faults, reply_to: Callable[[AgentRequest], None]
    ) -> None:
        self._kernel = kernel
        self._faults = faults
        self._asked = reply_to
        self.answers: dict[str, list[str]] = {}
        self.refusals: dict[str, list[str]] = {}
        self.troubles: dict[str, int] = {}
        self.begun: dict[str, list[str]] = {}

    def platform_of(self, process: Process) -> "Platform":
        """Return the agent platform for one process."""
        return Platform(self, process)

    async def answer(self, process: Process, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Answer one request."""
        if process.dead:
            await process.limbo()
        chance = self._kernel.chance
        self._kernel.note(f"ASKED {request.platform_chat_id} {request.message_id} {request.text!r}")
        self._asked(request)
        await anyio.sleep(chance.uniform(0.001, 0.1))
        pieces = self._pieces(request)
        self.begun.setdefault(request.message_id, []).append("".join(pieces))
        fails = self._faults.agent_fails()
        breaks_at = chance.randint(0, len(pieces)) if fails else len(pieces) + 1
        pause_s = chance.choice((0.0, 0.01, 0.3, 2.5)) if not self._faults.healed else 0.02
        for number, piece in enumerate(pieces):
            if number == breaks_at:
                break
            if number == 1 and chance.random() < 0.2:
                yield AgentToolCall("search")
                await anyio.sleep(pause_s)
                yield AgentToolResult()
            yield AgentTextChunk(piece)
            await anyio.sleep(pause_s)
        if fails:
            yield await self._trouble(request, began=breaks_at > 0)
            return
        self.answers.setdefault(request.message_id, []).append("".join(pieces))
        yield AgentEnd(tokens_used=len(pieces))

    def _pieces(self, request: AgentRequest) -> list[str]:
        chance = self._kernel.chance
        if chance.random() < 0.03:
            return []
        words = [chance.choice(_WORDS) for _ in range(chance.choice((0, 3, 8, 20)))]
        answer = f"{request.text} / {request.message_id}: {''.join(words)}end."
        if chance.random() < 0.02:
            answer += " " + "long paragraph of many words\n\n" * 1500 + "done."
        size = max(1, len(answer) // chance.choice((1, 2, 5)))
        return [answer[start : start + size] for start in range(0, len(answer), size)]

    async def _trouble(self, request: AgentRequest, began: bool) -> Frame:
        kinds = ["AGENT_BUSY", "MODEL_ERROR", "unreachable", "silent", "protocol", "broken_off"]
        kind = self._kernel.chance.choice(kinds[2:] if began else kinds)
        self._kernel.note(f"agent {kind} {request.message_id}")
        self.troubles[request.message_id] = self.troubles.get(request.message_id, 0) + 1
        match kind:
            case "AGENT_BUSY":
                return AgentError(kind, "busy")
            case "MODEL_ERROR":
                self.refusals.setdefault(request.message_id, []).append(kind)
                return AgentError(kind, "no")
            case "unreachable":
                return AgentFailure("unreachable", "refused")
            case "silent":
                await anyio.sleep(SILENCE_S)
                return AgentFailure("silent", "no frame for 30 s")
            case "protocol":
                return AgentFailure("protocol", "nonsense")
            case _:
                return AgentFailure("broken_off", "closed")


class Platform:
    """Implements the `AgentPlatform` port for one process."""

    def __init__(self, model: AgentModel, process: Process) -> None:
        self._model = model
        self._process = process

    def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send one request."""
        return self._model.answer(self._process, request)

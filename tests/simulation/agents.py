"""The simulated agents: they answer requests or fail at any frame, and record their answers."""

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


class SimulatedAgents:
    """Answers for every agent.

    By message id: `answers` are the complete answers, `begun` also the unfinished ones, `refusals` the error codes,
    `failures` the number of failures.
    """

    def __init__(
        self, kernel: Kernel, faults: Faults, on_call: Callable[[AgentRequest], None]
    ) -> None:
        self._kernel = kernel
        self._faults = faults
        self._on_call = on_call
        self.answers: dict[str, list[str]] = {}
        self.refusals: dict[str, list[str]] = {}
        self.failures: dict[str, int] = {}
        self.begun: dict[str, list[str]] = {}

    def platform_of(self, process: Process) -> "Platform":
        """Return the agent platform for one process."""
        return Platform(self, process)

    async def answer(self, process: Process, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Answer one request."""
        if process.killed:
            await process.wait_forever()
        rng = self._kernel.rng
        self._kernel.log(f"ASKED {request.platform_chat_id} {request.message_id} {request.text!r}")
        self._on_call(request)
        await anyio.sleep(rng.uniform(0.001, 0.1))
        pieces = self._pieces(request)
        self.begun.setdefault(request.message_id, []).append("".join(pieces))
        fails = self._faults.agent_fails()
        breaks_at = rng.randint(0, len(pieces)) if fails else len(pieces) + 1
        pause_s = rng.choice((0.0, 0.01, 0.3, 2.5)) if not self._faults.healed else 0.02
        for number, piece in enumerate(pieces):
            if number == breaks_at:
                break
            if number == 1 and rng.random() < 0.2:
                yield AgentToolCall("search")
                await anyio.sleep(pause_s)
                yield AgentToolResult()
            yield AgentTextChunk(piece)
            await anyio.sleep(pause_s)
        if fails:
            yield await self._failure(request, began=breaks_at > 0)
            return
        self.answers.setdefault(request.message_id, []).append("".join(pieces))
        yield AgentEnd(tokens_used=len(pieces))

    def _pieces(self, request: AgentRequest) -> list[str]:
        rng = self._kernel.rng
        if rng.random() < 0.03:
            return []
        words = [rng.choice(_WORDS) for _ in range(rng.choice((0, 3, 8, 20)))]
        answer = f"{request.text} / {request.message_id}: {''.join(words)}end."
        if rng.random() < 0.02:
            answer += " " + "long paragraph of many words\n\n" * 1500 + "done."
        size = max(1, len(answer) // rng.choice((1, 2, 5)))
        return [answer[start : start + size] for start in range(0, len(answer), size)]

    async def _failure(self, request: AgentRequest, began: bool) -> Frame:
        kinds = ["AGENT_BUSY", "MODEL_ERROR", "unreachable", "silent", "protocol", "broken_off"]
        kind = self._kernel.rng.choice(kinds[2:] if began else kinds)
        self._kernel.log(f"agent {kind} {request.message_id}")
        self.failures[request.message_id] = self.failures.get(request.message_id, 0) + 1
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

    def __init__(self, model: SimulatedAgents, process: Process) -> None:
        self._model = model
        self._process = process

    def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send one request."""
        return self._model.answer(self._process, request)

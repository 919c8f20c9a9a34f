"""A history from a script instead of from a seed: who does what, and which request fails, step by step.

A script is a generator over a `Scenario`. It acts and yields the condition on which it continues, which is checked
every hundredth of a second. After its end all faults end, and the history is checked like every other. There is one
user, and the script sets the agent's answers, so the seed decides only latencies.
"""

import random
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from machines.events.agent import (
    AgentEnd,
    AgentRequest,
    AgentTextChunk,
    Frame,
)
from matrix.http.backend import HttpBackend, HttpRequest, HttpResponse
from tests.simulation.agents import SimulatedAgents
from tests.simulation.faults import Fate, Faults, Outage, Plan
from tests.simulation.forks import Forks
from tests.simulation.history import ANSWERED_WITHIN_S, History
from tests.simulation.kernel import Kernel, Violation
from tests.simulation.outcome import Outcome, outcome_of
from tests.simulation.planted import NONE, Bug
from tests.simulation.process import Process
from tests.simulation.users import Kind, SentMessage, SimulatedUser
from tests.support.memory_homeserver.rooms import Room

SEED = 1
_POLL_S = 0.01
_NO_FAULTS = Plan(
    request=0.0,
    agent=0.0,
    kills=0,
    outages=0,
    soft_logouts=0,
    stops=0,
    losses=0.0,
    gappy=False,
    repeats=0.0,
    fates=(),
    disk_s=0.002,
)

Condition = Callable[[], bool]


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Rule:
    """The fate of the next request with this method and this part in its path."""

    method: str
    part: str
    fate: Fate
    then: Callable[[], None] = _nothing
    late_s: float = 0.0
    """The delay of the response."""

    def matches(self, path: str, method: str) -> bool:
        """Whether this is such a request."""
        return method == self.method and self.part in path


class ScriptedFaults(Faults):
    """The faults that a script sets, each once."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, _NO_FAULTS)
        self.rules: list[Rule] = []
        self.loses_next_database = False
        self.repeats = False

    def fate_of(self, path: str, method: str) -> Fate:
        """Return the fate of a request, by the first rule that matches."""
        for rule in self.rules:
            if rule.matches(path, method):
                self.rules.remove(rule)
                rule.then()
                return rule.fate
        return "well"

    def loses_database(self) -> bool:
        """Whether the script wants the database lost at this start."""
        loses, self.loses_next_database = self.loses_next_database, False
        return loses

    def repeats_events(self) -> bool:
        """Whether syncs show known events once more."""
        return self.repeats


class ScriptedAgents(SimulatedAgents):
    """An agent that sends `pieces` after `delay_s`, with `pause_s` after each."""

    delay_s = 0.0
    pieces: tuple[str, ...] = ("all right",)
    pause_s = 0.0

    async def answer(self, process: Process, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Answer one request."""
        if process.killed:
            await process.wait_forever()
        pieces = self.pieces
        self.begun.setdefault(request.message_id, []).append("".join(pieces))
        if self.delay_s:
            await anyio.sleep(self.delay_s)
        for piece in pieces:
            yield AgentTextChunk(piece)
            if self.pause_s:
                await anyio.sleep(self.pause_s)
        self.answers.setdefault(request.message_id, []).append("".join(pieces))
        yield AgentEnd(tokens_used=len(pieces))


class Scenario(History):
    """The simulated homeserver, user, agent and bot of one script."""

    faults: ScriptedFaults
    agents: ScriptedAgents

    def __init__(
        self, script: Callable[["Scenario"], Iterator[Condition]], folder: Path, *, bug: Bug = NONE
    ) -> None:
        super().__init__(SEED, folder, bug=bug)
        self._script = script(self)

    @property
    def user(self) -> SimulatedUser:
        """The one user."""
        return self.users[0]

    @property
    def chat(self) -> Room:
        """The user's first chat."""
        return self.user.chats[0]

    # -- instead of draws from the seed ------------------------------------------------------------

    def make_forks(self) -> Forks | None:
        """Return None: no room forks."""
        return None

    def make_changes(self, user_id: str) -> random.Random | None:
        """Return None: messages are changed only by the script."""
        return None

    def make_faults(self) -> Faults:
        """Return the faults of the script."""
        return ScriptedFaults(self.kernel)

    def make_agents(self) -> SimulatedAgents:
        """Return the agent whose answers the script sets."""
        return ScriptedAgents(self.kernel, self.faults, self._agent_called)

    def names(self) -> list[str]:
        """Return the one user."""
        return ["@ann:hs"]

    def schedule(self) -> None:
        """Start the bot and the script."""
        self.start()
        self._continue(lambda: True, self.kernel.now)

    def backend_of(self, process: Process) -> HttpBackend:
        """Return the HTTP backend of one process, which delays responses as the script says."""
        backend = super().backend_of(process)

        async def late(request: HttpRequest) -> HttpResponse:
            rules = [
                each for each in self.faults.rules if each.matches(request.path, request.method)
            ]
            answer = await backend(request)
            if rules:
                await anyio.sleep(rules[0].late_s)
            return answer

        return late

    def _continue(self, condition: Condition, since: float) -> None:
        if not condition():
            if self.kernel.now > since + ANSWERED_WITHIN_S:
                raise Violation(f"the script does not continue: {self._waits() or 'nothing'}")
            self.kernel.after(_POLL_S, self._continue, condition, since)
            return
        try:
            self._continue(next(self._script), self.kernel.now)
        except StopIteration:
            self.heal()

    # -- actions and conditions of a script ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the bot."""
        self._want_process()

    def welcome(self) -> Iterator[Condition]:
        """Let the user invite the bot, join the chat, and wait until the bot has nothing to do."""
        yield self.is_live
        self.invite()
        yield lambda: bool(self.user.chats) and self.is_quiet()

    def invite(self) -> Room:
        """Let the user create an entry room and invite the bot."""
        room = self.user.entry = self.server.create_room(self.user.user_id, {"name": "hello"})
        self.set_bot(room, "invite")
        return room

    def set_bot(self, room: Room, membership: str) -> None:
        """Let the user invite the bot to a room, or remove it (`leave`)."""
        self.kernel.log(f"the bot in {room.room_id}: {membership}")
        self.server.set_membership(room, self.user.user_id, self.server.bot, membership)

    def is_live(self) -> bool:
        """Whether the bot is live."""
        return self.process is not None and self.process.live and not self.process.killed

    def is_quiet(self) -> bool:
        """Whether the bot is live and nothing waits."""
        return self.is_live() and not self._waits()

    def send(self, body: str, room: Room | None = None) -> SentMessage:
        """Let the user send a message, in the chat unless another room is given."""
        kind: Kind = "command" if body.startswith("!") else "text"
        return self.user.send(room or self.chat, body, kind)

    def passed(self, seconds: float) -> Condition:
        """Return the condition that so much time has passed."""
        until = self.kernel.now + seconds
        return lambda: self.kernel.now >= until

    def within(self, seconds: float, condition: Condition, expected: str) -> Condition:
        """Return the condition, which must hold within so many seconds."""
        until = self.kernel.now + seconds

        def holds() -> bool:
            if not condition() and self.kernel.now > until:
                raise Violation(f"not within {seconds:.0f} s: {expected}")
            return condition()

        return holds

    def next_request(
        self,
        method: str,
        part: str,
        fate: Fate = "well",
        then: Callable[[], None] = _nothing,
        *,
        late_s: float = 0.0,
    ) -> Condition:
        """Set the fate of the next request of this kind; return the condition that it was sent."""
        rule = Rule(method, part, fate, then, late_s)
        self.faults.rules.append(rule)
        return lambda: rule not in self.faults.rules

    def kill(self) -> None:
        """Kill the bot; it is started again."""
        assert self.process is not None
        self.process.kill("by the script")

    def end_session(self) -> None:
        """End the bot's session so that it may log in again."""
        self.server.log_out_softly()
        self.network.end_sessions()

    def go_down(self, outage: Outage) -> None:
        """Make the homeserver unreachable."""
        self.kernel.log(f"DOWN {outage}")
        self.faults.outage = outage
        self.network.go_down()

    def come_up(self) -> None:
        """Make the homeserver reachable again."""
        self._come_up()


def play(script: Callable[[Scenario], Iterator[Condition]], bug: Bug = NONE) -> Outcome:
    """Run a script, with a planted bug or none."""
    return outcome_of(partial(Scenario, script), bug)

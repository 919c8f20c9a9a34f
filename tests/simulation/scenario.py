"""One history that is written down instead of drawn: who does what, and which request fails, step by step.

A script is a generator over a `Scenario`. It does something and yields the condition for going on, which is checked
every hundredth of a second. After its end all faults end, and the history is checked like every other. There is one
user, and the agent's answers are given, so the seed decides nothing but latencies.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from machines.events.agent import (
    AgentEnded,
    AgentRequest,
    AgentSaid,
    Frame,
)
from matrix.http.backend import HttpBackend, HttpRequest, HttpResponse
from tests.simulation.agents import AgentModel
from tests.simulation.faults import Fate, Faults, Outage, Plan
from tests.simulation.forks import Forks
from tests.simulation.history import PATIENCE_S, History
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
    """What happens to the next request of this method whose path has this part in it."""

    method: str
    part: str
    fate: Fate
    then: Callable[[], None] = _nothing
    late_s: float = 0.0
    """So long after it was given its answer arrives."""

    def fits(self, path: str, method: str) -> bool:
        """Whether this is such a request."""
        return method == self.method and self.part in path


class ScriptedFaults(Faults):
    """The faults that a script gives, each once."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, _NO_FAULTS)
        self.rules: list[Rule] = []
        self.loses_next_database = False
        self.repeats = False

    def fate_of(self, path: str, method: str) -> Fate:
        """Return the fate of a request, by the first rule that fits."""
        for rule in self.rules:
            if rule.fits(path, method):
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


class ScriptedAgents(AgentModel):
    """An agent that says `pieces`, with `pause_s` behind each."""

    pieces: tuple[str, ...] = ("all right",)
    pause_s = 0.0

    async def answer(self, process: Process, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Answer one request."""
        if process.dead:
            await process.limbo()
        pieces = self.pieces
        self.begun.setdefault(request.message_id, []).append("".join(pieces))
        for piece in pieces:
            yield AgentSaid(piece)
            if self.pause_s:
                await anyio.sleep(self.pause_s)
        self.answers.setdefault(request.message_id, []).append("".join(pieces))
        yield AgentEnded(tokens_used=len(pieces))


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
    def person(self) -> SimulatedUser:
        """The one user."""
        return self.people[0]

    @property
    def chat(self) -> Room:
        """The user's first chat."""
        return self.person.chats[0]

    # -- instead of what the seed draws ------------------------------------------------------------

    def make_forks(self) -> Forks | None:
        """No two events come at once."""
        return None

    def make_faults(self) -> Faults:
        """Return the faults of the script."""
        return ScriptedFaults(self.kernel)

    def make_agents(self) -> AgentModel:
        """Return the agent whose answers the script gives."""
        return ScriptedAgents(self.kernel, self.faults, self._asked)

    def names(self) -> list[str]:
        """There is one user."""
        return ["@ann:hs"]

    def schedule(self) -> None:
        """Let the script begin."""
        self.start()
        self._go_on(lambda: True, self.kernel.now)

    def backend_of(self, process: Process) -> HttpBackend:
        """Return the HTTP backend of one process, with the answers late that the script wants so."""
        backend = super().backend_of(process)

        async def late(request: HttpRequest) -> HttpResponse:
            rules = [each for each in self.faults.rules if each.fits(request.path, request.method)]
            answer = await backend(request)
            if rules:
                await anyio.sleep(rules[0].late_s)
            return answer

        return late

    def _go_on(self, condition: Condition, since: float) -> None:
        if not condition():
            if self.kernel.now > since + PATIENCE_S:
                raise Violation(f"the script never goes on: {self._waits() or 'nothing'}")
            self.kernel.after(_POLL_S, self._go_on, condition, since)
            return
        try:
            self._go_on(next(self._script), self.kernel.now)
        except StopIteration:
            self.heal()

    # -- what a script does ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the bot."""
        self._want_process()

    def welcome(self) -> Iterator[Condition]:
        """Let the user invite the bot, join the chat, and wait until the bot has nothing to do."""
        yield self.is_live
        self.invite()
        yield lambda: bool(self.person.chats) and self.is_quiet()

    def invite(self) -> Room:
        """Let the user make an entry room and invite the bot."""
        room = self.person.entry = self.server.create_room(self.person.user_id, {"name": "hello"})
        self.set_bot(room, "invite")
        return room

    def set_bot(self, room: Room, membership: str) -> None:
        """Let the user invite the bot to a room, or put it out of it (`leave`)."""
        self.kernel.note(f"the bot in {room.room_id}: {membership}")
        self.server.set_membership(room, self.person.user_id, self.server.bot, membership)

    def is_live(self) -> bool:
        """Whether the bot is live."""
        return self.process is not None and self.process.live and not self.process.dead

    def is_quiet(self) -> bool:
        """Whether the bot is live and nothing waits."""
        return self.is_live() and not self._waits()

    def say(self, body: str, room: Room | None = None) -> SentMessage:
        """Let the user say something, in the chat unless another room is given."""
        kind: Kind = "command" if body.startswith("!") else "text"
        return self.person.send(room or self.chat, body, kind)

    def passed(self, seconds: float) -> Condition:
        """Return the condition that so much time has passed."""
        until = self.kernel.now + seconds
        return lambda: self.kernel.now >= until

    def within(self, seconds: float, condition: Condition, promise: str) -> Condition:
        """Return the condition, which has to hold before so much time has passed."""
        until = self.kernel.now + seconds

        def holds() -> bool:
            if not condition() and self.kernel.now > until:
                raise Violation(f"not within {seconds:.0f} s: {promise}")
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
        """Give the next request of this kind a fate; return the condition that it has come."""
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
        """Take the homeserver away."""
        self.kernel.note(f"DOWN {outage}")
        self.faults.outage = outage
        self.network.go_down()

    def come_up(self) -> None:
        """Bring the homeserver back."""
        self._come_up()


def play(script: Callable[[Scenario], Iterator[Condition]], bug: Bug = NONE) -> Outcome:
    """Run a script, with a planted bug or none."""
    return outcome_of(partial(Scenario, script), bug)

"""One history: made from a seed, run to its end, and checked."""

import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from actors.agent_calls import Limits
from actors.bot import Bot
from actors.context import ContextProvider
from machines.access import Access
from machines.errors import SurfacesError
from machines.events.agent import AgentRequest
from machines.i18n import catalog_for
from machines.ids import UserId
from matrix import Account, MatrixClient
from matrix.clock import SystemClock
from matrix.http.backend import HttpBackend
from store.database import prepare
from tests.simulation.agents import AgentModel, Agents
from tests.simulation.api import Api
from tests.simulation.checks import Judge, Watch
from tests.simulation.faults import Faults, plan
from tests.simulation.forks import Forks
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel, Violation
from tests.simulation.loop import Killed, tamed
from tests.simulation.network import Network
from tests.simulation.planted import NONE, Bug
from tests.simulation.process import Connection, Process
from tests.simulation.users import SentMessage, SimulatedUser
from tests.support.memory_homeserver.rooms import AccountData, Event
from tests.support.memory_homeserver.sync import has_news, position_of

BOT = UserId("@bot:hs")
NAMES = {"@ann:hs": "Ann", "@bob:hs": "Bob", "@cid:hs": "Cid"}
STEPS = 400_000
"""A history that takes longer makes no progress."""
PATIENCE_S = 600.0
"""How long after the last fault everything has to be answered."""
DRAINED_S = 10.0
_MAKING = (
    "users WHERE state != 'resting'",
    "rooms WHERE onboards IS NOT NULL",
    "outbox WHERE status = 'waiting' AND kind NOT IN ('send_message', 'redact_message')",
    "inbox WHERE status = 'waiting' AND kind != 'message'",
)
FAULTS = ("actor_fault", "batch_refused")


class VirtualClock(SystemClock):
    """The runtime's clock, on simulated time."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def now(self) -> float:
        """Return the simulated time."""
        return self._kernel.now


class History:
    """The simulated homeserver, users, agents and bot of one seed."""

    def __init__(self, seed: int, folder: Path, *, bug: Bug = NONE) -> None:
        self.bug = bug
        self.kernel = kernel = Kernel(seed)
        self.forks = self.make_forks()
        self.faults = self.make_faults()
        self.server = SimulatedHomeserver(kernel, BOT, self.forks)
        self.server.display_names.update(NAMES)
        self.server.listeners.append(self._welcome)
        self.said: list[SentMessage] = []
        self.catalog = catalog_for("en", "Lambda")
        self.watch = Watch(self.server, self.said, blind=bug.blind and bug is not NONE)
        self.agents = self.make_agents()
        self.api = Api(self.server, self.faults)
        self.network = Network(kernel, self.server, self.api, self.faults, self.watch.request)
        self.people = [SimulatedUser(kernel, self.server, name, self.said) for name in self.names()]
        self.judge = Judge(self.server, self.said, self.people, self.agents, self.catalog)
        self.judge.may_repeat_commands = self.faults.plan.losses > 0
        self.folder = folder
        self.process: Process | None = None
        self.starts = 0
        self.kills = 0
        self.wanted = False
        self.over = False
        self.stop: Callable[[], None] | None = None
        self.raw = self._database()

    # -- what the seed draws -----------------------------------------------------------------------

    def make_forks(self) -> Forks | None:
        """Return what draws the events that come at once; without it none do."""
        return Forks(self.kernel.seed)

    def make_faults(self) -> Faults:
        """Return what draws the faults."""
        drawn = plan(self.kernel)
        if self.forks is not None and self.forks.rate > 0:
            drawn.losses = max(drawn.losses, self.forks.losses)
        return Faults(self.kernel, drawn)

    def make_agents(self) -> AgentModel:
        """Return the agents."""
        return AgentModel(self.kernel, self.faults, self._asked)

    def names(self) -> list[str]:
        """Return the users who take part."""
        chance = self.kernel.chance
        return sorted(chance.sample(sorted(NAMES), chance.choice((1, 1, 2, 3))))

    def schedule(self) -> None:
        """Schedule what people do, outages and stops, and the end of all faults."""
        kernel, chance = self.kernel, self.kernel.chance
        lasts_s = chance.choice((15.0, 40.0, 120.0))
        for person in self.people:
            invited_s = chance.uniform(0.0, lasts_s / 3)
            kernel.after(invited_s, person.invite_the_bot)
            if chance.random() < 0.3:
                kernel.after(chance.uniform(invited_s, lasts_s), person.invite_again)
            for _ in range(chance.randint(2, 6)):
                kernel.after(chance.uniform(invited_s, lasts_s), person.say_something)
        for _ in range(self.faults.plan.outages):
            kernel.after(chance.uniform(0.0, lasts_s), self._go_down)
        for _ in range(self.faults.plan.stops):
            kernel.after(chance.uniform(5.0, lasts_s), self._stop_process)
        kernel.after(lasts_s, self.heal)
        kernel.after(chance.choice((0.0, 5.0)), self._want_process)

    def backend_of(self, process: Process) -> HttpBackend:
        """Return the HTTP backend of one process."""
        return self.network.backend_of(process)

    # -- the run -----------------------------------------------------------------------------------

    def live(self) -> None:
        """Run the history to its end and check it.

        Raises:
            Violation: something was not as it must be.
        """
        self.kernel.note(f"seed {self.kernel.seed}: {self.faults.plan}")
        self.schedule()
        steps = 0
        while not self.over:
            if self.wanted:
                self._run_process()
            else:
                self.kernel.step()
                steps += 1
                if steps > STEPS:
                    raise Violation("time passes without end, and no process is to be started")
        self.judge.judge()

    def heal(self) -> None:
        """End all faults: from here on every message has to be answered."""
        self.kernel.note("HEALED")
        self.faults.healed = True
        self.faults.outage = None
        if self.process is None and not self.wanted:
            self._want_process()
        if self.process is not None:
            self.process.fuse = -1
        self.kernel.after(PATIENCE_S, self._fail_when_not_over)
        self.kernel.after(5.0, self._check_quiet, self._ask_once_more)

    def _check_quiet(self, then: Callable[[], None]) -> None:
        """Continue with `then` when all is answered and nothing waits."""
        if self.process is not None and self.process.live and not self._waits():
            then()
        else:
            self.kernel.after(5.0, self._check_quiet, then)

    def _waits(self) -> str:
        for table in ("inbox", "outbox"):
            row = self.raw.execute(f"SELECT count(*) FROM {table} WHERE status = 'waiting'")
            if row.fetchone()[0]:
                return f"rows wait in the {table}"
        for what in (
            "turns",
            "gaps",
            "rooms WHERE state = 'reconciling'",
            "users WHERE state != 'resting'",
        ):
            if self.raw.execute(f"SELECT 1 FROM {what}").fetchone():
                return f"there are {what}"
        row = self.raw.execute("SELECT sync_token FROM bot").fetchone()
        if not row[0] or has_news(self.server, BOT, position_of(row[0])):
            return "the sync is behind"
        unanswered = self.judge.unanswered()
        return f"unanswered: {', '.join(unanswered)}" if unanswered else ""

    def _ask_once_more(self) -> None:
        """Send one last message to every chat."""
        self.kernel.note("ONCE MORE")
        for person in self.people:
            for room in person.chats:
                person.send(room, f"last question {room.room_id}", "text")
        self.kernel.after(5.0, self._check_quiet, self._end)

    def _end(self) -> None:
        self.over = True
        if self.process is not None and self.stop is not None:
            self.process.stopped_at = self.kernel.now
            self.stop()

    def _fail_when_not_over(self) -> None:
        if not self.over:
            raise Violation(f"{PATIENCE_S:.0f} s after the last fault: {self._waits() or 'no bot'}")

    def _go_down(self) -> None:
        if self.faults.healed or self.faults.outage is not None:
            return
        chance = self.kernel.chance
        self.faults.outage = chance.choice(("refused", "refused", "hangs", "gateway"))
        self.kernel.note(f"DOWN {self.faults.outage}")
        self.network.go_down()
        self.kernel.after(chance.choice((1.0, 5.0, 60.0)), self._come_up)

    def _come_up(self) -> None:
        self.kernel.note("UP")
        self.faults.outage = None

    # -- the bot -----------------------------------------------------------------------------------

    def _room_is_being_made(self) -> bool:
        """Whether a room is being made: a half-made one can't be recognised from the homeserver alone (C2)."""
        return any(self.raw.execute(f"SELECT 1 FROM {what}").fetchone() for what in _MAKING)

    def _start_again(self) -> None:
        if not self._room_is_being_made() and self.faults.loses_database():
            self.kernel.note("DATABASE LOST")
            self.raw.close()
            self.raw = self._database()
        self.kernel.after(self.kernel.chance.choice((0.0, 0.5, 4.0)), self._want_process)

    def _want_process(self) -> None:
        self.wanted = self.process is None

    def _stop_process(self) -> None:
        """Ask the process to drain, as SIGTERM does (contract L8)."""
        if self.process is not None and self.stop is not None and not self.faults.healed:
            self.kernel.note("STOP")
            self.process.stopped_at = self.kernel.now
            self.stop()

    def _welcome(self, event: Event | AccountData) -> None:
        """Let users write in a chat that was just linked, and perhaps end the process at about that time."""
        forks = self.forks
        if isinstance(event, AccountData) or event.type != "m.space.child":
            return
        if forks is None or not forks.likely():
            return
        for person in self.people:
            self.kernel.after(forks.chance.uniform(0.0, 6.0), self._ask, person, event.state_key)
        if forks.interrupts():
            self._end_soon(forks.chance.uniform(0.0, 8.0))

    def _ask(self, person: SimulatedUser, room_id: str) -> None:
        """Let a user ask something, unless the history is over."""
        if not self.over:
            person.ask(room_id)

    def _asked(self, request: AgentRequest) -> None:
        """Perhaps end the process in the middle of an answer whose chat no sync shows as one."""
        self.watch.reply_to(request)
        said = [each for each in self.said if each.event.event_id == request.message_id]
        if self.forks is None or not said:
            return
        link = ("m.space.child", said[0].event.room_id)
        hidden = [
            room
            for room in self.server.rooms.values()
            if room.state.get(link) is not room.state_after(room.events[-1]).get(link)
        ]
        if hidden and self.forks.interrupts():
            self._end_soon(self.forks.chance.uniform(0.0, 2.0))

    def _end_soon(self, within_s: float) -> None:
        assert self.forks is not None
        ends = self._stop_process if self.forks.chance.random() < 0.3 else self._kill_process
        self.kernel.after(within_s, ends)

    def _kill_process(self) -> None:
        if self.process is not None and not self.faults.healed:
            self.process.kill("while somebody is new to a chat")

    def _database(self) -> sqlite3.Connection:
        raw = prepare(sqlite3.connect(":memory:", isolation_level=None))
        self.watch.database(raw)
        return raw

    def _fuse(self) -> int:
        """Return after how many occasions the process is killed; early often enough to be killed twice."""
        if self.faults.healed or self.kills >= self.faults.plan.kills:
            return -1
        return int(2 ** self.kernel.chance.uniform(0, 9))

    def _run_process(self) -> None:
        """Start one process, and run the simulation until it ends."""
        self.wanted = False
        self.starts += 1
        self.kernel.note(f"START {self.starts}")
        process = self.process = Process(self.kernel, self._fuse(), self.faults.plan.disk_s)
        self.watch.process = process
        with structlog_into(self._log), tamed(self.kernel, process.hop):
            try:
                process.loop.run_until_complete(process.loop.create_task(self._bot(process)))
            except SurfacesError as error:
                raise Violation(f"the process ended itself: {error!r}") from error
            except Killed:
                self.kills += 1
                self._start_again()
            finally:
                process.loop.killed = True
                self.process = self.stop = None
                process.loop.bury()
        if process.loop.faults:
            raise Violation(f"unhandled in the event loop: {process.loop.faults[0]}")

    async def _bot(self, process: Process) -> None:
        clock = VirtualClock(self.kernel)
        account = Account("http://hs", BOT, self.folder, password="secret")
        homeserver = MatrixClient(
            account,
            on_change=lambda up, reason, outage_s: self.kernel.note(f"reachable: {up} ({reason})"),
            clock=clock,
            jitter=self.kernel.chance.random,
            backend=self.bug.backend(self.backend_of(process)),
        )
        agents = Agents()
        journal = self.bug.journal(Connection(process, self.raw, self.watch.committed))
        bot = Bot(
            homeserver=self.bug.homeserver(homeserver, journal),
            platform=self.agents.platform_of(process),
            limits=Limits(),
            journal=journal,
            clock=clock,
            context_provider=ContextProvider(
                clock=clock,
                catalog=self.catalog,
                access=Access(BOT),
                agents=lambda: agents,
                agent_retry_s=120.0,
                agent_max_turn_s=1800.0,
            ),
        )
        self.stop = bot.stop
        await bot.run()
        drained_s = self.kernel.now - process.stopped_at
        if drained_s > DRAINED_S:
            self.kernel.accuse(f"the bot stopped {drained_s:.1f} s after it was asked to (L8)")
        self._start_again()

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        process = self.process
        if process is None or process.dead:
            return
        self.kernel.note(f"LOG {event} {fields}")
        if event == "matrix_reconcile_complete":
            process.reconciled += 1
            self.watch.reported([*fields["conflicts"], *fields["skipped"]])
        if event == "bot_live":
            process.live = True
            if process.reconciled != 1:
                self.kernel.accuse(f"live after {process.reconciled} reconciliations (L4)")
        if event in FAULTS:
            self.kernel.accuse(f"{event}: {fields}")


@contextmanager
def structlog_into(receive: Callable[[str, dict[str, Any]], None]) -> Iterator[None]:
    """Pass every log line to `receive` while the block lasts."""
    before = structlog.get_config()

    def catch(logger: Any, method: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
        receive(fields.pop("event"), dict(fields))
        raise structlog.DropEvent

    structlog.configure(processors=[catch], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)

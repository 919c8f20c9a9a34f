"""One history: created from a seed, run to its end, and checked."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from tests.simulation.agents import Agents, SimulatedAgents
from tests.simulation.api import Api
from tests.simulation.faults import Faults, plan
from tests.simulation.forks import Forks
from tests.simulation.homeserver import SimulatedHomeserver
from tests.simulation.kernel import Kernel, Violation
from tests.simulation.log_capture import structlog_into
from tests.simulation.loop import Killed, deterministic
from tests.simulation.network import Network
from tests.simulation.planted import NONE, Bug
from tests.simulation.process import Connection, Process
from tests.simulation.room_checks import RoomChecks
from tests.simulation.step_checks import StepChecks
from tests.simulation.users import SentMessage, SimulatedUser
from tests.support.memory_homeserver.rooms import AccountData, Event
from tests.support.memory_homeserver.sync import has_news, position_of

BOT = UserId("@bot:hs")
NAMES = {"@ann:hs": "Ann", "@bob:hs": "Bob", "@cid:hs": "Cid"}
STEPS = 400_000
"""A history with more steps makes no progress."""
ANSWERED_WITHIN_S = 600.0
"""Maximum time from the last fault until everything is answered."""
DRAINED_S = 10.0
_ROOM_CREATION = (
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
        self.sent_messages: list[SentMessage] = []
        self.catalog = catalog_for("en", "Lambda")
        self.watch = StepChecks(
            self.server, self.sent_messages, blind=bug.blind and bug is not NONE
        )
        self.agents = self.make_agents()
        self.api = Api(self.server, self.faults)
        self.network = Network(kernel, self.server, self.api, self.faults, self.watch.request)
        self.users = [
            SimulatedUser(kernel, self.server, name, self.sent_messages, self.make_changes(name))
            for name in self.names()
        ]
        self.check = RoomChecks(
            self.server, self.sent_messages, self.users, self.agents, self.catalog
        )
        self.check.may_repeat_commands = self.faults.plan.losses > 0
        self.folder = folder
        self.process: Process | None = None
        self.starts = 0
        self.kills = 0
        self.start_requested = False
        self.ended = False
        self.stop: Callable[[], None] | None = None
        self.raw = self._database()

    # -- drawn from the seed -----------------------------------------------------------------------

    def make_forks(self) -> Forks | None:
        """Return the draws of forks; with `None` no room forks."""
        return Forks(self.kernel.seed)

    def make_changes(self, user_id: str) -> random.Random | None:
        """Return the draws of a user's edits and deletions; with `None` there are none."""
        return random.Random(f"changes {self.kernel.seed} {user_id}")

    def make_faults(self) -> Faults:
        """Return the draws of faults."""
        drawn = plan(self.kernel)
        if self.forks is not None and self.forks.rate > 0:
            drawn.losses = max(drawn.losses, self.forks.losses)
        return Faults(self.kernel, drawn)

    def make_agents(self) -> SimulatedAgents:
        """Return the agents."""
        return SimulatedAgents(self.kernel, self.faults, self._agent_called)

    def names(self) -> list[str]:
        """Return the users who take part."""
        rng = self.kernel.rng
        return sorted(rng.sample(sorted(NAMES), rng.choice((1, 1, 2, 3))))

    def schedule(self) -> None:
        """Schedule the users' actions, outages, stops, and the end of all faults."""
        kernel, rng = self.kernel, self.kernel.rng
        lasts_s = rng.choice((15.0, 40.0, 120.0))
        for user in self.users:
            invited_s = rng.uniform(0.0, lasts_s / 3)
            kernel.after(invited_s, user.invite_the_bot)
            if rng.random() < 0.3:
                kernel.after(rng.uniform(invited_s, lasts_s), user.invite_again)
            for _ in range(rng.randint(2, 6)):
                kernel.after(rng.uniform(invited_s, lasts_s), user.write_somewhere)
        for _ in range(self.faults.plan.outages):
            kernel.after(rng.uniform(0.0, lasts_s), self._go_down)
        for _ in range(self.faults.plan.stops):
            kernel.after(rng.uniform(5.0, lasts_s), self._stop_process)
        kernel.after(lasts_s, self.heal)
        kernel.after(rng.choice((0.0, 5.0)), self._want_process)

    def backend_of(self, process: Process) -> HttpBackend:
        """Return the HTTP backend of one process."""
        return self.network.backend_of(process)

    # -- running -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the history to its end and check it.

        Raises:
            Violation: a check failed.
        """
        self.kernel.log(f"seed {self.kernel.seed}: {self.faults.plan}")
        self.schedule()
        steps = 0
        while not self.ended:
            if self.start_requested:
                self._run_process()
            else:
                self.kernel.step()
                steps += 1
                if steps > STEPS:
                    raise Violation("no process is to be started, and the history does not end")
        self.check.check()

    def heal(self) -> None:
        """End all faults; every message must be answered from now on."""
        self.kernel.log("HEALED")
        self.faults.healed = True
        self.faults.outage = None
        if self.process is None and not self.start_requested:
            self._want_process()
        if self.process is not None:
            self.process.kill_after = -1
        self.kernel.after(ANSWERED_WITHIN_S, self._fail_when_not_over)
        self.kernel.after(5.0, self._check_quiet, self._send_last_questions)

    def _check_quiet(self, then: Callable[[], None]) -> None:
        """Call `then` when everything is answered and nothing waits."""
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
        unanswered = self.check.unanswered()
        return f"unanswered: {', '.join(unanswered)}" if unanswered else ""

    def _send_last_questions(self) -> None:
        """Send one last message to every chat."""
        self.kernel.log("ONCE MORE")
        for user in self.users:
            for room in user.chats:
                user.send(room, f"last question {room.room_id}", "text")
        self.kernel.after(5.0, self._check_quiet, self._end)

    def _end(self) -> None:
        self.ended = True
        if self.process is not None and self.stop is not None:
            self.process.stopped_at = self.kernel.now
            self.stop()

    def _fail_when_not_over(self) -> None:
        if not self.ended:
            raise Violation(
                f"{ANSWERED_WITHIN_S:.0f} s after the last fault: {self._waits() or 'no bot'}"
            )

    def _go_down(self) -> None:
        if self.faults.healed or self.faults.outage is not None:
            return
        rng = self.kernel.rng
        self.faults.outage = rng.choice(("refused", "refused", "hangs", "gateway"))
        self.kernel.log(f"DOWN {self.faults.outage}")
        self.network.go_down()
        self.kernel.after(rng.choice((1.0, 5.0, 60.0)), self._come_up)

    def _come_up(self) -> None:
        self.kernel.log("UP")
        self.faults.outage = None

    # -- the bot -----------------------------------------------------------------------------------

    def _room_is_being_created(self) -> bool:
        """Whether a room is being created: a partial one can't be recognised from the homeserver alone (C2)."""
        return any(self.raw.execute(f"SELECT 1 FROM {what}").fetchone() for what in _ROOM_CREATION)

    def _start_again(self) -> None:
        if not self._room_is_being_created() and self.faults.loses_database():
            self.kernel.log("DATABASE LOST")
            self.raw.close()
            self.raw = self._database()
        self.kernel.after(self.kernel.rng.choice((0.0, 0.5, 4.0)), self._want_process)

    def _want_process(self) -> None:
        self.start_requested = self.process is None

    def _stop_process(self) -> None:
        """Make the process drain, as SIGTERM does (contract L8)."""
        if self.process is not None and self.stop is not None and not self.faults.healed:
            self.kernel.log("STOP")
            self.process.stopped_at = self.kernel.now
            self.stop()

    def _welcome(self, event: Event | AccountData) -> None:
        """Let users write in a chat that was just linked, and possibly end the process at about that time."""
        forks = self.forks
        if isinstance(event, AccountData) or event.type != "m.space.child":
            return
        if forks is None or not forks.likely():
            return
        for user in self.users:
            self.kernel.after(forks.rng.uniform(0.0, 6.0), self._ask, user, event.state_key)
        if forks.interrupts():
            self._end_soon(forks.rng.uniform(0.0, 8.0))

    def _ask(self, user: SimulatedUser, room_id: str) -> None:
        """Let a user ask something, unless the history is over."""
        if not self.ended:
            user.ask(room_id)

    def _agent_called(self, request: AgentRequest) -> None:
        """Possibly end the process in the middle of an answer whose chat no sync shows as linked."""
        self.watch.agent_called(request)
        sent = [each for each in self.sent_messages if each.event.event_id == request.message_id]
        if self.forks is None or not sent:
            return
        link = ("m.space.child", sent[0].event.room_id)
        hidden = [
            room
            for room in self.server.rooms.values()
            if room.state.get(link) is not room.state_after(room.events[-1]).get(link)
        ]
        if hidden and self.forks.interrupts():
            self._end_soon(self.forks.rng.uniform(0.0, 2.0))

    def _end_soon(self, within_s: float) -> None:
        assert self.forks is not None
        ends = self._stop_process if self.forks.rng.random() < 0.3 else self._kill_process
        self.kernel.after(within_s, ends)

    def _kill_process(self) -> None:
        if self.process is not None and not self.faults.healed:
            self.process.kill("soon after a chat was linked")

    def _database(self) -> sqlite3.Connection:
        raw = prepare(sqlite3.connect(":memory:", isolation_level=None))
        self.watch.database(raw)
        return raw

    def _draw_kill_after(self) -> int:
        """Draw the boundary at which the process is killed; often an early one, so that a start is killed too."""
        if self.faults.healed or self.kills >= self.faults.plan.kills:
            return -1
        return int(2 ** self.kernel.rng.uniform(0, 9))

    def _run_process(self) -> None:
        """Start one process, and run the simulation until it ends."""
        self.start_requested = False
        self.starts += 1
        self.kernel.log(f"START {self.starts}")
        process = self.process = Process(
            self.kernel, self._draw_kill_after(), self.faults.plan.disk_s
        )
        self.watch.process = process
        with structlog_into(self._log), deterministic(self.kernel, process.run_sync):
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
                process.loop.cancel_all()
        if process.loop.faults:
            raise Violation(f"unhandled in the event loop: {process.loop.faults[0]}")

    async def _bot(self, process: Process) -> None:
        clock = VirtualClock(self.kernel)
        account = Account("http://hs", BOT, self.folder, password="secret")
        homeserver = MatrixClient(
            account,
            on_change=lambda up, reason, outage_s: self.kernel.log(f"reachable: {up} ({reason})"),
            clock=clock,
            jitter=self.kernel.rng.random,
            backend=self.bug.backend(self.backend_of(process)),
        )
        agents = Agents()
        journal = self.bug.journal(Connection(process, self.raw, self.watch.committed))
        bot = Bot(
            homeserver=self.bug.homeserver(homeserver, journal),
            platform=self.agents.platform_of(process),
            limits=Limits(),
            describe=dict,
            on_agent_change=lambda *_, **__: None,
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
            self.kernel.report_violation(
                f"the bot stopped {drained_s:.1f} s after it was asked to (L8)"
            )
        self._start_again()

    def _log(self, event: str, fields: dict[str, Any]) -> None:
        process = self.process
        if process is None or process.killed:
            return
        self.kernel.log(f"LOG {event} {fields}")
        if event == "matrix_reconcile_complete":
            process.reconciled += 1
            self.watch.reported([*fields["conflicts"], *fields["skipped"]])
        if event == "bot_live":
            process.live = True
            if process.reconciled != 1:
                self.kernel.report_violation(
                    f"live after {process.reconciled} reconciliations (L4)"
                )
        if event in FAULTS:
            self.kernel.report_violation(f"{event}: {fields}")

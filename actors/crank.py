"""The crank: it turns every ready actor once, commits all of it in one transaction, then lets it happen.

An actor is in the ready set at most once and only the crank steps actors: that is the serialisation of each
room. Steps are pure and take microseconds, so one task suffices for all of them, a round's commit is shared by
everyone in it, and what waits for a slow agent or homeserver waits elsewhere. Idle actors are rows, not
objects: a cell is loaded when something happens and forgotten, least recently used first, when it rests.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import anyio
import anyio.lowlevel
import structlog

from actors.cells import Cell, Visit
from actors.ports import Clock
from actors.timers import Timers
from actors.visits import Deferred, Worlds
from machines.happenings import Resumed, TimePassed
from machines.household import Household
from machines.ids import ActorKey
from store import Journal
from store.errors import UnitRefused
from store.records import InboxRow, OutboxRow, Writes

ACTORS_A_ROUND = 256
RESTING_CELLS = 1024
BACKLOG_HIGH = 20_000
BACKLOG_LOW = 10_000
"""The sync loop pauses when so many events wait for the crank: the homeserver is the buffer.

What waits for something else, such as a slow agent or a repair, is bounded in each room and counts here not at all.
"""


class Crank:
    """The runtime of all actors. `perform` gets what follows a commit, `send` the committed orders.

    With the orders go the messages whose edits were dropped, and the actor that gave and dropped them.
    `orders_waiting` says how much is still to be sent into a room; `relieve` is told when that has become less.
    """

    def __init__(
        self,
        journal: Journal,
        worlds: Worlds,
        clock: Clock,
        perform: Callable[[ActorKey, Deferred], None],
        send: Callable[[Iterable[OutboxRow], Iterable[str], ActorKey], None],
        orders_waiting: Callable[[ActorKey], int],
    ) -> None:
        self._journal = journal
        self._worlds = worlds
        self._clock = clock
        self._perform = perform
        self._send = send
        self._orders_waiting = orders_waiting
        self._congested: set[ActorKey] = set()
        self._cells: OrderedDict[ActorKey, Cell] = OrderedDict()
        self._ready: OrderedDict[ActorKey, list[object]] = OrderedDict()
        self._loading: dict[ActorKey, list[InboxRow]] = {}
        self._wake = anyio.Event()
        self._timers = Timers(clock, lambda key: self.tell(key, TimePassed()))
        self._backlog = 0
        self._untaken: dict[ActorKey, int] = {}
        """How many rows of each actor the crank has not looked at, as far as the actor could take them."""
        self._room_again = anyio.Event()
        self._stopping = False
        self._running = False
        self._idle = anyio.Event()

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Bring committed inbox rows to their actors."""
        for row in rows:
            self._count(row.actor, 1)
            cell = self._cells.get(row.actor)
            if cell is not None:
                cell.deliver((row,))
            elif row.actor in self._loading:
                self._loading[row.actor].append(row)
            self._make_ready(row.actor)

    def tell(self, key: ActorKey, event: object) -> None:
        """Bring an actor something that needs no row."""
        cell = self._cells.get(key)
        if cell is not None:
            cell.tell(event)
            self._make_ready(key)
        else:
            self._make_ready(key).append(event)

    def relieve(self, key: str) -> None:
        """Go on in a room that took nothing because too many orders of its own waited."""
        if key in self._congested:
            self._congested.remove(ActorKey(key))
            self._make_ready(ActorKey(key))

    def awaken(self, waiting: Mapping[ActorKey, int]) -> None:
        """Go on where an earlier process left off: so many rows of these actors wait, or a turn is in hand.

        They are this process' backlog until they are looked at, or kills would let it grow without end.
        """
        for key, rows in waiting.items():
            self._count(key, rows)
            told = self._make_ready(key)
            if not key.startswith("@"):
                told.append(Resumed())

    def is_caught_up(self, key: ActorKey) -> bool:
        """Whether a room has answered all that it has taken; one that is forgotten has.

        What it passed on to its owner's actor (`!new`, whatever is written in an entry room) counts.
        """
        cell = self._cells.get(key)
        if cell is None:
            return True
        owner = cell.owner
        if not cell.caught_up or cell.congested or owner in self._ready or owner in self._loading:
            return False
        household = self._cells.get(owner) if owner is not None else None
        return household is None or (household.resting and not household.making)

    async def room_for_more(self) -> None:
        """Return at once, or, where the crank can't keep up, when it has caught up."""
        if self._backlog < BACKLOG_HIGH:
            return
        structlog.get_logger().warning("sync_paused", backlog=self._backlog)
        while self._backlog >= BACKLOG_LOW:
            self._room_again = anyio.Event()
            await self._room_again.wait()
        structlog.get_logger().info("sync_resumed", backlog=self._backlog)

    async def run(self) -> None:
        """Turn until stopped.

        Raises:
            DatabaseUnusable: nothing can be committed any more.
        """
        self._running = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._timers.run)
            while not self._stopping:
                if not self._ready:
                    self._wake = anyio.Event()
                    await self._wake.wait()
                    continue
                await self._turn()
            group.cancel_scope.cancel()
        self._idle.set()

    async def stop(self) -> None:
        """End after the round in hand; what is ready stays in its rows."""
        self._stopping = True
        self._wake.set()
        # Asked to stop before it went live, it never turned: there is nothing to wait for.
        if self._running:
            await self._idle.wait()

    def _make_ready(self, key: ActorKey) -> list[object]:
        told = self._ready.setdefault(key, [])
        self._wake.set()
        return told

    async def _turn(self) -> None:
        keys = [
            self._ready.popitem(last=False) for _ in range(min(len(self._ready), ACTORS_A_ROUND))
        ]
        await self._load(keys)
        visits = []
        for key, told in keys:
            cell = self._cells[key]
            self._cells.move_to_end(key)
            cell.orders_waiting = self._orders_waiting(key)
            for event in told:
                cell.tell(event)
            visits.append(cell.visit(self._worlds))
        await self._commit(visits)
        for visit in visits:
            self._release(visit)
        self._forget()
        # A round that had nothing to commit has not let anyone else run.
        await anyio.lowlevel.checkpoint()

    async def _load(self, keys: list[tuple[ActorKey, list[object]]]) -> None:
        cold = {key: None for key, _ in keys if key not in self._cells}
        if cold:
            # What is delivered from here on may have been committed after the rows were read.
            self._loading = {key: [] for key in cold}
            loaded = await self._journal.rooms_and_users(cold)
            for key, rows in loaded.items():
                cell = self._cells[key] = Cell(key, rows)
                cell.deliver(self._loading[key])
            self._loading = {}
        users = [key for key, _ in keys if key.startswith("@") and key not in cold]
        if users:
            # Other actors write the rows of a user's chats; what was read before a commit is out of date.
            for key, chats in (await self._journal.chats_of(users)).items():
                self._cells[key].see_chats(chats)
        for key, _ in keys:
            cell = self._cells[key]
            for priority, after in cell.to_read():
                cell.feed(priority, await self._journal.inbox_after(key, after, priority))

    async def _commit(self, visits: list[Visit]) -> None:
        written = [visit for visit in visits if not visit.writes.empty]
        if not written:
            return
        now = self._clock.now()
        try:
            self.deliver(await self._journal.keep_visits([visit.writes for visit in written], now))
        except UnitRefused:
            await self._commit_apart(visits, written, now)

    async def _commit_apart(self, visits: list[Visit], written: list[Visit], now: float) -> None:
        """Find the visit that breaks a rule; set aside what it took, and keep the others.

        Rows are delivered as they are committed: an actor passes over a row that comes after a later one.
        """
        for visit in written:
            try:
                self.deliver(await self._journal.keep_visits([visit.writes], now))
            except UnitRefused as error:
                structlog.get_logger().error(
                    "visit_refused", actor=visit.cell.key, reason=str(error)
                )
                aside = tuple((seq, f"could not be kept: {error}") for seq in visit.taken)
                await self._journal.keep_visits([Writes(set_aside=aside)], now)
                self._count(visit.cell.key, -len(visit.taken))
                del self._cells[visit.cell.key]
                visits.remove(visit)
                # What it was told is lost with it: a turn in hand is asked anew, as after a restart.
                told = self._make_ready(visit.cell.key)
                if not visit.cell.key.startswith("@"):
                    told.append(Resumed())

    def _release(self, visit: Visit) -> None:
        """The visit is committed: let its effects happen."""
        cell, writes = visit.cell, visit.writes
        cell.settle(visit)
        cell.orders_waiting = self._orders_waiting(cell.key)
        if cell.congested:
            self._congested.add(cell.key)
        # What it can't take now counts against nobody: it waits for something else than the crank.
        left = cell.can_take
        self._count(cell.key, -len(visit.taken) if left else -self._untaken.get(cell.key, 0))
        if writes.orders or writes.dropped_edits:
            self._send(writes.orders, writes.dropped_edits, cell.key)
        for effect in visit.deferred:
            self._perform(cell.key, effect)
        due_at = cell.due_at()
        if due_at is not None:
            self._timers.set(cell.key, due_at)
        else:
            self._timers.clear(cell.key)
        if cell.hungry:
            self._make_ready(cell.key)
        if isinstance(cell.value, Household) and cell.resting:
            # Most users do nothing most of the time, and are read anew each time they do.
            del self._cells[cell.key]

    def _count(self, key: ActorKey, more: int) -> None:
        """Count rows that the crank has to look at, or, less than none, has looked at."""
        before = self._untaken.get(key, 0)
        # What waited in a full room was not counted, and is taken all the same when there is room again.
        after = max(0, before + more)
        self._backlog += after - before
        if after:
            self._untaken[key] = after
        elif before:
            del self._untaken[key]
        if self._backlog < BACKLOG_LOW:
            self._room_again.set()

    def _forget(self) -> None:
        excess = len(self._cells) - RESTING_CELLS
        if excess <= 0:
            return
        for key in [key for key, cell in self._cells.items() if cell.resting][:excess]:
            if key not in self._ready:
                del self._cells[key]

"""The dispatcher: processes one batch of every ready actor, commits the round in one transaction, then performs it.

An actor is in the ready set at most once, and only the dispatcher runs actors; this serialises each room. Steps are
pure and take microseconds, so one task runs all of them, the actors of a round share one commit, and nothing here
waits for a slow agent or homeserver. Idle actors are rows: a cell is loaded when an event arrives, and the least
recently used idle cells are passivated.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import anyio
import anyio.lowlevel
import structlog

from actors.cell import ActorCell, ProcessedBatch
from actors.collector import VolatileEffect
from actors.context import ContextProvider
from actors.ports import Clock
from actors.timers import Timers
from machines.events.internal import Resumed, TimePassed
from machines.ids import ActorKey, AgentId, actor_field
from machines.user.actor import UserActor
from store import Journal
from store.errors import UnitRefused
from store.records import InboxRow, OutboxRow, UnitOfWork

ACTORS_PER_ROUND = 256
MAX_IDLE_CELLS = 1024
BACKLOG_HIGH = 20_000
BACKLOG_LOW = 10_000
"""The sync loop pauses at this backlog: the homeserver is the buffer.

Events that wait for something else, such as a slow agent or a repair, are bounded per room and not counted here.
"""


class Dispatcher:
    """Runs all actors. `perform` gets the volatile effects after a commit, `enqueue` the committed orders.

    `enqueue` also gets the messages whose edits were dropped, and the actor. `pending_orders` returns the number of
    pending orders of a room; `resume_congested` must be called when it has become lower. `has_pending_message` returns
    whether a new message is among them.
    """

    def __init__(
        self,
        journal: Journal,
        context_provider: ContextProvider,
        clock: Clock,
        perform: Callable[[ActorKey, VolatileEffect], None],
        enqueue: Callable[[Iterable[OutboxRow], Iterable[str], ActorKey], None],
        pending_orders: Callable[[ActorKey], int],
        has_pending_message: Callable[[ActorKey], bool],
    ) -> None:
        self._journal = journal
        self._context_provider = context_provider
        self._clock = clock
        self._perform = perform
        self._enqueue = enqueue
        self._pending_orders = pending_orders
        self._has_pending_message = has_pending_message
        self._congested: set[ActorKey] = set()
        self._cells: OrderedDict[ActorKey, ActorCell] = OrderedDict()
        self._ready: OrderedDict[ActorKey, list[object]] = OrderedDict()
        self._loading: dict[ActorKey, list[InboxRow]] = {}
        self._wake = anyio.Event()
        self._timers = Timers(clock, lambda key: self.signal(key, TimePassed()))
        self._backlog = 0
        self._unprocessed: dict[ActorKey, int] = {}
        """The number of rows of each actor that it can handle and has not handled yet."""
        self._capacity_freed = anyio.Event()
        self._stopping = False
        self._running = False
        self._stopped = anyio.Event()

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Deliver committed inbox rows to their actors."""
        for row in rows:
            self._add_to_backlog(row.actor, 1)
            cell = self._cells.get(row.actor)
            if cell is not None:
                cell.deliver((row,))
            elif row.actor in self._loading:
                self._loading[row.actor].append(row)
            self._make_ready(row.actor)

    def signal(self, key: ActorKey, event: object) -> None:
        """Deliver an event without a row."""
        cell = self._cells.get(key)
        if cell is not None:
            cell.signal(event)
            self._make_ready(key)
        else:
            self._make_ready(key).append(event)

    def resume_congested(self, key: str) -> None:
        """Continue with a room that was paused because too many of its orders were pending."""
        if key in self._congested:
            self._congested.remove(ActorKey(key))
            self._make_ready(ActorKey(key))

    def recover(self, waiting: Mapping[ActorKey, int]) -> None:
        """Continue the work of an earlier process: actors with this many waiting rows, or with a turn in progress.

        The rows count as backlog, otherwise repeated crashes would let it grow without bound.
        """
        for key, rows in waiting.items():
            self._add_to_backlog(key, rows)
            self._resume(key)

    def is_caught_up(self, key: ActorKey) -> bool:
        """Whether a room has answered every message that it has accepted; a passivated one has.

        Requests that it passed on to its owner's actor (`!new`, messages in an entry room) count.
        """
        cell = self._cells.get(key)
        if cell is None:
            # Its rows are read only when its events are processed.
            return key not in self._ready and key not in self._loading
        owner = cell.owner
        if not cell.caught_up or cell.congested or owner in self._ready or owner in self._loading:
            return False
        user_actor = self._cells.get(owner) if owner is not None else None
        return user_actor is None or (user_actor.idle and not user_actor.is_creating)

    def count_waiting_for(self, agent_id: AgentId) -> int:
        """Return how many turns wait for the first output of this agent: a room with a turn is never passivated."""
        return sum(cell.waits_for == agent_id for cell in self._cells.values())

    async def wait_for_capacity(self) -> None:
        """Return when the backlog is small enough for another sync."""
        if self._backlog < BACKLOG_HIGH:
            return
        structlog.get_logger().warning("sync_paused", backlog=self._backlog)
        while self._backlog >= BACKLOG_LOW:
            self._capacity_freed = anyio.Event()
            await self._capacity_freed.wait()
        structlog.get_logger().info("sync_resumed", backlog=self._backlog)

    async def run(self) -> None:
        """Run until stopped.

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
                await self._process_round()
            group.cancel_scope.cancel()
        self._stopped.set()

    async def stop(self) -> None:
        """Stop after the current round; pending events stay in their rows."""
        self._stopping = True
        self._wake.set()
        if self._running:  # it may be stopped before it was started
            await self._stopped.wait()

    def _make_ready(self, key: ActorKey) -> list[object]:
        signals = self._ready.setdefault(key, [])
        self._wake.set()
        return signals

    def _resume(self, key: ActorKey) -> None:
        signals = self._make_ready(key)
        if not key.startswith("@"):
            signals.append(Resumed())

    async def _process_round(self) -> None:
        keys = [
            self._ready.popitem(last=False) for _ in range(min(len(self._ready), ACTORS_PER_ROUND))
        ]
        await self._load(keys)
        batches = []
        for key, signals in keys:
            cell = self._cells[key]
            self._cells.move_to_end(key)
            cell.pending_orders = self._pending_orders(key)
            cell.message_pending = cell.pending_orders > 0 and self._has_pending_message(key)
            for event in signals:
                cell.signal(event)
            batches.append(cell.process_batch(self._context_provider))
        await self._commit(batches)
        for batch in batches:
            self._complete(batch)
        self._passivate()
        # A round without a commit has not yielded to other tasks yet.
        await anyio.lowlevel.checkpoint()

    async def _load(self, keys: list[tuple[ActorKey, list[object]]]) -> None:
        cold = {key: None for key, _ in keys if key not in self._cells}
        if cold:
            # Rows that are delivered from now on may have been committed after the rows were read.
            self._loading = {key: [] for key in cold}
            loaded = await self._journal.load_actors(cold)
            for key, rows in loaded.items():
                cell = self._cells[key] = ActorCell(key, rows)
                cell.deliver(self._loading[key])
            self._loading = {}
        users = [key for key, _ in keys if key.startswith("@") and key not in cold]
        if users:
            # Other actors write the rows of a user's chats, so they are read again for each batch.
            for key, chats in (await self._journal.chats_of(users)).items():
                self._cells[key].update_chats(chats)
        for key, _ in keys:
            cell = self._cells[key]
            for priority, after in cell.queues_to_read():
                cell.inbox.add_page(priority, await self._journal.inbox_after(key, after, priority))

    async def _commit(self, batches: list[ProcessedBatch]) -> None:
        written = [batch for batch in batches if not batch.unit_of_work.empty]
        if not written:
            return
        now = self._clock.now()
        try:
            self.deliver(
                await self._journal.save_units_of_work(
                    [batch.unit_of_work for batch in written], now
                )
            )
        except UnitRefused:
            await self._commit_one_by_one(batches, written, now)

    async def _commit_one_by_one(
        self, batches: list[ProcessedBatch], written: list[ProcessedBatch], now: float
    ) -> None:
        """Commit one by one; move the rows of a refused batch to the dead letters.

        Rows are delivered as they are committed, because an actor skips a row that is older than one it has.
        """
        for batch in written:
            try:
                self.deliver(await self._journal.save_units_of_work([batch.unit_of_work], now))
            except UnitRefused as error:
                structlog.get_logger().error(
                    "batch_refused", **actor_field(batch.cell.key), reason=str(error)
                )
                dead_letters = tuple((seq, f"could not be saved: {error}") for seq in batch.handled)
                await self._journal.save_units_of_work([UnitOfWork(dead_letters=dead_letters)], now)
                self._add_to_backlog(batch.cell.key, -len(batch.handled))
                del self._cells[batch.cell.key]
                batches.remove(batch)
                # Its signals are lost: a turn in progress starts a new call, as after a restart.
                self._resume(batch.cell.key)

    def _complete(self, batch: ProcessedBatch) -> None:
        """Apply a committed batch, and perform its effects."""
        cell, unit = batch.cell, batch.unit_of_work
        cell.apply(batch)
        cell.pending_orders = self._pending_orders(cell.key)
        if cell.congested:
            self._congested.add(cell.key)
        # Rows that cannot be handled now do not count as backlog: they do not wait for the dispatcher.
        self._add_to_backlog(
            cell.key,
            -len(batch.handled) if cell.has_open_rows else -self._unprocessed.get(cell.key, 0),
        )
        if unit.orders or unit.dropped_edits:
            self._enqueue(unit.orders, unit.dropped_edits, cell.key)
        for effect in batch.volatile:
            self._perform(cell.key, effect)
        due_at = cell.due_at()
        if due_at is not None:
            self._timers.set(cell.key, due_at)
        else:
            self._timers.clear(cell.key)
        if cell.has_work:
            self._make_ready(cell.key)
        if isinstance(cell.actor, UserActor) and cell.idle:
            # Most users are idle most of the time, and are loaded again for each event.
            del self._cells[cell.key]

    def _add_to_backlog(self, key: ActorKey, count: int) -> None:
        """Change the backlog of an actor by `count` rows, which may be negative."""
        before = self._unprocessed.get(key, 0)
        # Rows of a full room were not counted, but are handled later.
        after = max(0, before + count)
        self._backlog += after - before
        if after:
            self._unprocessed[key] = after
        elif before:
            del self._unprocessed[key]
        if self._backlog < BACKLOG_LOW:
            self._capacity_freed.set()

    def _passivate(self) -> None:
        excess = len(self._cells) - MAX_IDLE_CELLS
        if excess <= 0:
            return
        for key in [key for key, cell in self._cells.items() if cell.idle][:excess]:
            if key not in self._ready:
                del self._cells[key]

"""The bot from start to stop: `login → initial_sync → reconcile → live`, then the sync loop, then the drain.

No message is handled before reconciliation is complete, because the dispatcher is started only then. Only the journal
moves the sync token, in the transaction that saves the events of that sync (contract D3).
"""

from collections.abc import Iterable
from typing import assert_never

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup

from actors.agent_calls import AgentCalls, Limits
from actors.bot_state import BotStateKeeper
from actors.collector import VolatileEffect
from actors.context import ContextProvider
from actors.dispatcher import Dispatcher
from actors.gaps import GapFiller
from actors.outbox import Outbox
from actors.ports import AgentPlatform, Clock, Homeserver
from actors.receipts import Receipts
from actors.reconciler import Reconciler
from actors.task_pool import TaskPool
from machines.bot.machine import (
    Drained,
    GaveUp,
    LoggedIn,
    Reconciled,
    SoftLoggedOut,
    Started,
    StopRequested,
    SyncedOnce,
)
from machines.errors import LoggedOut, SurfacesError, TokenUnknown
from machines.events.effects import (
    CallAgent,
    CancelCall,
    Log,
    MarkRead,
    Reconcile,
    ShowTyping,
)
from machines.events.matrix import SyncBatch
from machines.ids import ActorKey, EventId, RoomId, SyncToken
from machines.room.topology import Topology
from store import DatabaseUnusable, Journal
from store.records import OutboxRow

DRAIN_S = 9.0
"""Of the 10 s of contract L8; the last second is for saving the final state on a slow disk."""
KEPT_S = 14 * 86400.0
"""How long finished inbox rows, sent orders and transitions are kept."""
PRUNE_INTERVAL_S = 3600.0


class Bot:
    """The bot in one process. `run` returns when stopped, and raises the error that ends the daemon."""

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        platform: AgentPlatform,
        journal: Journal,
        clock: Clock,
        context_provider: ContextProvider,
        limits: Limits,
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._context_provider = context_provider
        self._reconciler = Reconciler(homeserver, journal, clock, context_provider)
        self._dispatcher = Dispatcher(
            journal, context_provider, clock, self._perform, self._send, self._orders_waiting
        )
        self._task_pool = TaskPool(clock)
        self._receipts = Receipts(homeserver, clock, self._task_pool)
        self._outbox = Outbox(
            homeserver,
            journal,
            clock,
            self._task_pool,
            deliver=self._dispatcher.deliver,
            replied=self._reply_delivered,
            drained=self._dispatcher.resume_congested,
            allows=lambda user_id: context_provider.access.allows(user_id),
        )
        self._gaps = GapFiller(homeserver, journal, clock, self._dispatcher.deliver)
        self._calls = AgentCalls(platform, self._task_pool, self._dispatcher.signal, limits)
        self._repairs: dict[RoomId, object] = {}
        self._stop = anyio.Event()
        self._asked_to_stop_at = 0.0

    def stop(self) -> None:
        """Drain, and return from `run` (contract L8)."""
        if not self._stop.is_set():
            self._asked_to_stop_at = self._clock.now()
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped.

        Raises:
            CredentialsRefused: the homeserver rejects the account (exit 3).
            DatabaseUnusable: nothing can be saved any more (exit 4).
        """
        bot = await self._journal.bot()
        self._context_provider.raise_platform_chat_seq(bot.platform_chat_seq)
        self._context_provider.load_preferences(await self._journal.preferences())
        bot_state = BotStateKeeper(self._journal, self._clock, bot.bot_state)
        await bot_state.apply(Started(), "the process started")
        try:
            await self._until_stopped(bot_state, bot.sync_token)
        # The other broad except: the error that ends the daemon is the bot's last transition.
        except Exception as error:
            cause = first_cause(error)
            if not isinstance(cause, DatabaseUnusable):
                await bot_state.apply(GaveUp(), _why(cause))
            raise cause from error

    async def _until_stopped(self, bot_state: BotStateKeeper, token: SyncToken | None) -> None:
        async with anyio.create_task_group() as group:
            self._task_pool.run(group)
            self._receipts.run(group)
            async with anyio.create_task_group() as syncing:
                syncing.start_soon(self._cancel_when_stopped, syncing.cancel_scope)
                syncing.start_soon(self._renew_session)
                token = await self._go_live(bot_state, token, group)
                await self._gaps.run(syncing)
                await self._sync_loop(bot_state, token)
            await bot_state.apply(StopRequested(), "asked to stop")
            # The sync loop finished its commit first, which takes a while on a slow disk.
            spent_s = self._clock.now() - self._asked_to_stop_at
            with anyio.move_on_after(max(0.0, DRAIN_S - spent_s)) as timeout:
                self._calls.cancel_all()
                await self._dispatcher.stop()
                await self._outbox.flush()
            group.cancel_scope.cancel()
        reason = "not everything could be sent in time" if timeout.cancelled_caught else "drained"
        await bot_state.apply(Drained(), reason)

    async def _cancel_when_stopped(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    # -- start -------------------------------------------------------------------------------------

    async def _go_live(
        self, bot_state: BotStateKeeper, token: SyncToken | None, group: TaskGroup
    ) -> SyncToken:
        """Log in, sync, reconcile, and only then start the dispatcher."""
        await self._log_in(bot_state)
        batch, topology = await self._first_sync(bot_state, token)
        await self._save(batch)
        await bot_state.apply(SyncedOnce(), f"{len(topology.rooms)} rooms")
        report = await self._reconciler.reconcile_matrix_state(topology)
        recovered, same = report["rooms_recovered"], report["rooms_unchanged"]
        await bot_state.apply(Reconciled(), f"{recovered} rooms recovered, {same} unchanged")
        structlog.get_logger().info("bot_live", rooms=len(topology.rooms))
        await self._outbox.recover()
        self._dispatcher.recover(await self._journal.actors_with_work())
        group.start_soon(self._dispatcher.run)
        group.start_soon(self._prune_loop)
        return batch.token

    async def _renew_session(self) -> None:
        """Log in again when the session ends outside of a sync: in reconciliation, or in history requests."""
        while True:
            await self._homeserver.session_ended()
            await self._homeserver.login()

    async def _log_in(self, bot_state: BotStateKeeper) -> None:
        session = await self._homeserver.login()
        await self._journal.save_session(session.user_id, session.device_id)
        await bot_state.apply(LoggedIn(), f"as {session.user_id}, device {session.device_id}")

    async def _first_sync(
        self, bot_state: BotStateKeeper, token: SyncToken | None
    ) -> tuple[SyncBatch, Topology]:
        while True:
            try:
                return await self._homeserver.initial_sync(token)
            except LoggedOut as error:
                await bot_state.apply(SoftLoggedOut(), str(error))
                await self._log_in(bot_state)
            except TokenUnknown as error:
                structlog.get_logger().warning("sync_token_refused", reason=str(error))
                token = None

    # -- sync loop ---------------------------------------------------------------------------------

    async def _sync_loop(self, bot_state: BotStateKeeper, token: SyncToken) -> None:
        while True:
            await self._dispatcher.wait_for_capacity()
            try:
                batch = await self._homeserver.sync(token)
            except LoggedOut as error:
                await bot_state.apply(SoftLoggedOut(), str(error))
                await self._log_in(bot_state)
                continue
            except TokenUnknown as error:
                structlog.get_logger().warning("sync_token_refused", reason=str(error))
                batch, _ = await self._first_sync(bot_state, None)
            await self._save(batch)
            token = batch.token
            # Actors with new events run first: preparing the next request takes a while.
            await anyio.lowlevel.checkpoint()

    async def _save(self, batch: SyncBatch) -> None:
        """Save a sync batch; gaps are filled concurrently, and nothing waits for that (contracts D4, D14)."""
        for item in batch.quarantined:
            structlog.get_logger().warning(
                "event_quarantined",
                source=item.source,
                room_id=item.room_id,
                sender=item.sender,
                times=item.times,
                reason=item.reason,
            )
        self._dispatcher.deliver(await self._journal.save_sync_batch(batch, self._clock.now()))
        self._gaps.open(gap.room_id for gap in batch.gaps)

    async def _prune_loop(self) -> None:
        while True:
            await self._journal.prune(self._clock.now() - KEPT_S)
            await self._clock.sleep(PRUNE_INTERVAL_S)

    # -- effects -----------------------------------------------------------------------------------

    def _send(self, rows: Iterable[OutboxRow], dropped: Iterable[str], actor: ActorKey) -> None:
        self._outbox.send(rows, dropped, actor)

    def _orders_waiting(self, actor: ActorKey) -> int:
        return self._outbox.waiting_in(actor)

    def _perform(self, key: ActorKey, effect: VolatileEffect) -> None:
        """Perform a volatile effect after its commit."""
        match effect:
            case CallAgent():
                self._calls.ask(key, effect)
            case CancelCall():
                self._calls.cancel(key)
            case ShowTyping(typing=typing):
                self._receipts.show_typing(RoomId(key), typing)
            case MarkRead(event_id=event_id):
                self._receipts.mark_read(RoomId(key), event_id)
            case Reconcile():
                self._task_pool.start(self._reconcile_one, RoomId(key))
            case Log(event=event, fields=fields, warning=warning):
                logger = structlog.get_logger()
                (logger.warning if warning else logger.info)(event, **fields)
            case _:
                assert_never(effect)

    def _reply_delivered(self, room_id: RoomId, answered: EventId) -> None:
        """Move the markers; the read position stays before messages that a quick command has overtaken (D12)."""
        if self._dispatcher.is_caught_up(ActorKey(room_id)) and not self._gaps.may_miss(room_id):
            self._receipts.reply_delivered(room_id, answered)
        else:
            self._receipts.mark_read(room_id, answered)

    async def _reconcile_one(self, room_id: RoomId) -> None:
        """Repair a room; the result is discarded if a newer repair of the room has started."""
        repair = self._repairs[room_id] = object()
        observed, rows = await self._reconciler.reconcile_single_room(room_id)
        self._dispatcher.deliver(rows)
        if self._repairs.get(room_id) is repair:
            del self._repairs[room_id]
            self._dispatcher.signal(ActorKey(room_id), observed)


def first_cause(error: BaseException) -> BaseException:
    """Return the first error inside exception groups: an operator can act on one cause."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _why(cause: BaseException) -> str:
    """Return why the daemon gave up; for a fault of this program only its type, as its text may quote a message."""
    return str(cause) if isinstance(cause, SurfacesError) else type(cause).__name__

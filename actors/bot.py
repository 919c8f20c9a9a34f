"""The bot from start to stop: `login → initial_sync → reconcile → live`, then the sync loop, then the drain.

No message is handled before reconciliation is complete, because the dispatcher is started only then. Only the journal
moves the sync token, in the transaction that saves the events of that sync (contract D3).
"""

from collections.abc import Callable, Mapping
from typing import Any, assert_never

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from actors.agent_calls import AgentCalls, Limits
from actors.agent_reachability import AgentReachability, OnAgentChange
from actors.collector import VolatileEffect
from actors.context import ContextProvider
from actors.dispatcher import Dispatcher
from actors.gaps import GapFiller
from actors.outbox import Outbox
from actors.ports import AgentPlatform, Clock, Homeserver
from actors.quotes import Quotes
from actors.receipts import Receipts
from actors.reconciler import Reconciler
from actors.task_pool import TaskPool
from machines.bot.machine import (
    BOT,
    BotState,
    Drained,
    GaveUp,
    LifecycleEvent,
    LoggedIn,
    Reconciled,
    SoftLoggedOut,
    Started,
    StopRequested,
    SyncedOnce,
)
from machines.errors import LoggedOut, SurfacesError, TokenUnknown
from machines.events.effects import CallAgent, CancelCall, Log, MarkRead, Reconcile, ShowTyping
from machines.events.matrix import SyncBatch
from machines.ids import ActorKey, EventId, RoomId, SyncToken
from machines.room.topology import Topology
from store import DatabaseUnusable, Journal
from store.records import TransitionRecord

DRAIN_S = 9.0
"""Of the 10 s of contract L8; the last second is for saving the final state on a slow disk."""
RETENTION_S = 14 * 86400.0
"""How long finished inbox rows, finished orders and transitions stay in the database."""
PRUNE_INTERVAL_S = 3600.0
MOCK_WARNING = (
    "the built-in mock agent answers, and no agent of the platform:"
    " set MATRIX_PLATFORM_BACKEND=real and AGENT_BASE_URL or MATRIX_AGENT_REGISTRY_PATH"
)


class Bot:
    """The bot in one process. `run` returns when stopped, and raises the error that ends the daemon.

    `describe` returns what `bot_live` says about the installation, `on_agent_change` reports the agents' outages.
    """

    def __init__(
        self,
        *,
        homeserver: Homeserver,
        platform: AgentPlatform,
        journal: Journal,
        clock: Clock,
        context_provider: ContextProvider,
        limits: Limits,
        describe: Callable[[], Mapping[str, Any]],
        on_agent_change: OnAgentChange,
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._context_provider = context_provider
        self._describe = describe
        self._dispatcher = Dispatcher(
            journal,
            context_provider,
            clock,
            self._perform,
            enqueue=lambda rows, dropped, key: self._outbox.enqueue(rows, dropped, key),
            pending_orders=lambda key: self._outbox.pending_in(key),
            has_pending_message=lambda key: self._outbox.has_message_in(key),
        )
        self._reconciler = Reconciler(
            homeserver, journal, clock, context_provider, self._dispatcher.deliver
        )
        self._task_pool = TaskPool(clock)
        self._receipts = Receipts(homeserver, clock, self._task_pool)
        self._outbox = Outbox(
            homeserver,
            journal,
            clock,
            self._task_pool,
            deliver=self._dispatcher.deliver,
            on_reply_sent=self._mark_answered,
            on_lane_low=self._dispatcher.resume_congested,
            allows=context_provider.access.allows,
        )
        self._gaps = GapFiller(homeserver, journal, clock, self._dispatcher.deliver)
        reachability = AgentReachability(clock, self._dispatcher.count_waiting_for, on_agent_change)
        self._calls = AgentCalls(
            platform,
            self._task_pool,
            self._dispatcher.signal,
            limits,
            reachability.record,
            Quotes(homeserver),
        )
        self._newest_repairs: dict[RoomId, object] = {}
        self._state = BotState()
        self._stop = anyio.Event()
        self._stop_requested_at = 0.0

    def stop(self) -> None:
        """Drain, and return from `run` (contract L8)."""
        if not self._stop.is_set():
            self._stop_requested_at = self._clock.now()
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
        self._state = bot.bot_state
        await self._change_state(Started(), "the process started")
        try:
            await self._run_until_stopped(bot.sync_token)
        # Broad, because every error that ends the daemon is recorded as the bot's last transition.
        except Exception as error:
            cause = first_cause(error)
            if not isinstance(cause, DatabaseUnusable):
                # The text of a fault of this program may quote a message.
                known = isinstance(cause, SurfacesError)
                await self._change_state(GaveUp(), str(cause) if known else type(cause).__name__)
            raise cause from error

    async def _run_until_stopped(self, token: SyncToken | None) -> None:
        async with anyio.create_task_group() as group:
            self._task_pool.run(group)
            self._receipts.run(group)
            async with anyio.create_task_group() as syncing:
                syncing.start_soon(self._cancel_when_stopped, syncing.cancel_scope)
                syncing.start_soon(self._renew_session)
                token = await self._go_live(token, group)
                await self._gaps.run(syncing)
                await self._sync_loop(token)
            await self._change_state(StopRequested(), "asked to stop")
            # The sync loop may have finished a commit first, which is slow on a slow disk.
            spent_s = self._clock.now() - self._stop_requested_at
            with anyio.move_on_after(max(0.0, DRAIN_S - spent_s)) as timeout:
                self._calls.cancel_all()
                await self._dispatcher.stop()
                await self._outbox.flush()
            group.cancel_scope.cancel()
        reason = "not everything could be sent in time" if timeout.cancelled_caught else "drained"
        await self._change_state(Drained(), reason)

    async def _change_state(self, event: LifecycleEvent, reason: str) -> None:
        """Run the bot's machine over one event; save and log the transition (contract L1).

        Raises:
            IllegalEvent: the current state refuses it.
        """
        now = self._clock.now()
        step = BOT.step(self._state, event)
        source, target = self._state.state, step.data.state
        self._state = replace(step.data, since=now, reason=reason)
        transition = TransitionRecord("bot", now, step.transition.event, source, target, reason)
        await self._journal.save_bot_state(self._state, transition)
        logger = structlog.get_logger()
        (logger.error if target == "failed" else logger.info)(
            "bot_state_changed", **{"from": source, "to": target, "reason": reason}
        )

    async def _cancel_when_stopped(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    # -- start -------------------------------------------------------------------------------------

    async def _go_live(self, token: SyncToken | None, group: TaskGroup) -> SyncToken:
        """Log in, sync, reconcile, and only then start the dispatcher."""
        await self._log_in()
        batch, topology = await self._first_sync(token)
        await self._save(batch)
        await self._change_state(SyncedOnce(), f"{len(topology.rooms)} rooms")
        report = await self._reconciler.reconcile_matrix_state(topology)
        recovered, same = report["rooms_recovered"], report["rooms_unchanged"]
        await self._change_state(Reconciled(), f"{recovered} rooms recovered, {same} unchanged")
        structlog.get_logger().info("bot_live", rooms=len(topology.rooms), **self._describe())
        if self._context_provider.mock_agents:
            structlog.get_logger().warning("mock_agents_used", reason=MOCK_WARNING)
        # First, because an order that is sent may move the read position of a room without work only.
        self._dispatcher.recover(await self._journal.actors_with_work())
        await self._outbox.recover()
        group.start_soon(self._dispatcher.run)
        group.start_soon(self._prune_loop)
        return batch.token

    async def _renew_session(self) -> None:
        """Log in again if the session ends outside of a sync: in reconciliation, or in history requests."""
        while True:
            await self._homeserver.session_ended()
            await self._homeserver.login()

    async def _log_in(self) -> None:
        session = await self._homeserver.login()
        await self._journal.save_session(session.user_id, session.device_id)
        await self._change_state(LoggedIn(), f"as {session.user_id}, device {session.device_id}")

    async def _first_sync(self, token: SyncToken | None) -> tuple[SyncBatch, Topology]:
        while True:
            try:
                return await self._homeserver.initial_sync(token)
            except LoggedOut as error:
                await self._change_state(SoftLoggedOut(), str(error))
                await self._log_in()
            except TokenUnknown as error:
                structlog.get_logger().warning("sync_token_refused", reason=str(error))
                token = None

    # -- sync loop ---------------------------------------------------------------------------------

    async def _sync_loop(self, token: SyncToken) -> None:
        while True:
            await self._dispatcher.wait_for_capacity()
            try:
                batch = await self._homeserver.sync(token)
            except LoggedOut as error:
                await self._change_state(SoftLoggedOut(), str(error))
                await self._log_in()
                continue
            except TokenUnknown as error:
                structlog.get_logger().warning("sync_token_refused", reason=str(error))
                batch, _ = await self._first_sync(None)
            await self._save(batch)
            token = batch.token
            # Actors with new events run first: preparing the next request takes a while.
            await anyio.lowlevel.checkpoint()

    async def _save(self, batch: SyncBatch) -> None:
        """Save a sync batch; gaps are filled concurrently, and nothing waits for that (contracts D4, D14)."""
        self._dispatcher.deliver(await self._journal.save_sync_batch(batch, self._clock.now()))
        for item in batch.quarantined:
            structlog.get_logger().warning(
                "event_quarantined",
                source=item.source,
                room_id=item.room_id,
                event_id=item.event_id,
                sender=item.sender,
                times=item.times,
                reason=item.reason,
            )
        self._gaps.open(gap.room_id for gap in batch.gaps)

    async def _prune_loop(self) -> None:
        while True:
            await self._journal.prune(self._clock.now() - RETENTION_S)
            await self._clock.sleep(PRUNE_INTERVAL_S)

    # -- effects -----------------------------------------------------------------------------------

    def _perform(self, key: ActorKey, effect: VolatileEffect) -> None:
        """Perform a volatile effect after its commit."""
        match effect:
            case CallAgent():
                self._calls.start(key, effect)
            case CancelCall():
                self._calls.cancel(key)
            case ShowTyping(typing=typing):
                self._receipts.show_typing(RoomId(key), typing)
            case MarkRead(event_id=event_id):
                self._receipts.mark_read(RoomId(key), event_id)
            case Reconcile():
                self._task_pool.start(self._reconcile_room, RoomId(key))
            case Log(event=event, fields=fields, warning=warning):
                logger = structlog.get_logger()
                (logger.warning if warning else logger.info)(event, **fields)
            case _:
                assert_never(effect)

    def _mark_answered(self, room_id: RoomId, answered: EventId) -> None:
        """Move the markers; `m.fully_read` stays before messages that a quick command has overtaken (D12)."""
        done = self._dispatcher.is_caught_up(ActorKey(room_id))
        done = done and not self._gaps.may_have_gap(room_id)
        self._receipts.mark_read(room_id, answered, finished=answered if done else None)

    async def _reconcile_room(self, room_id: RoomId) -> None:
        """Repair a room; discard the result if a newer repair of the room has started."""
        repair = self._newest_repairs[room_id] = object()
        observed = await self._reconciler.reconcile_single_room(room_id)
        if self._newest_repairs.get(room_id) is repair:
            del self._newest_repairs[room_id]
            self._dispatcher.signal(ActorKey(room_id), observed)


def first_cause(error: BaseException) -> BaseException:
    """Return the first error inside exception groups: an operator can act on one cause."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""Runs reconciliation: observe through the port, plan with pure code, apply in one transaction.

`reconcile_matrix_state` serves all rooms once at start (contract L4), `reconcile_single_room` one room at run time
(contract C7). Neither creates a room, invites anybody or changes a room's state (contracts L7, C9): they write nothing
to the homeserver but the bot's own account data.
"""

from collections.abc import Callable, Iterable
from typing import Any

import anyio
import structlog
from msgspec.structs import asdict, replace

from actors.collector import EffectCollector
from actors.context import ContextProvider
from actors.ports import Clock, Homeserver
from machines.events.internal import ChatRecovered, TopologyConfirmed, TopologyRefused
from machines.events.matrix import BotRemoved
from machines.events.orders import Refused, StoreBinding
from machines.ids import ActorKey, RoomId, TxnId, UserId
from machines.room.actor import RoomActor
from machines.room.binding import chat_number, platform_number
from machines.room.machine import DifferenceFound
from machines.room.membership import step_room
from machines.room.plan import Plan, StoredState
from machines.room.reconcile import NO_BINDING, Planner
from machines.room.repair import finish_repair
from machines.room.state import Room
from machines.room.step_draft import StepDraft
from machines.room.topology import Topology
from machines.room.unconfirmed import find_unconfirmed
from machines.user.machine import User
from store import Journal
from store.records import InboxRow, UnitOfWork

MAX_CONCURRENT_BACKFILLS = 20
MAX_CONCURRENT_REPAIRS = 20


class Reconciler:
    """Makes the local rows agree with the homeserver."""

    def __init__(
        self,
        homeserver: Homeserver,
        journal: Journal,
        clock: Clock,
        context_provider: ContextProvider,
        deliver: Callable[[Iterable[InboxRow]], None],
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._context_provider = context_provider
        self._deliver = deliver
        self._read_limit = anyio.CapacityLimiter(MAX_CONCURRENT_REPAIRS)
        self._numbering_lock = anyio.Lock()
        self._chat_numbers: dict[UserId, int] = {}
        """The highest chat number that repairs of this process gave to each user."""

    async def reconcile_matrix_state(self, topology: Topology) -> dict[str, Any]:
        """Reconcile every room with what the initial sync showed; returns the report of contract L4."""
        began = self._clock.now()
        stored = await self._journal.stored()
        plan = self._plan(topology, stored)
        unconfirmed = find_unconfirmed(plan, topology, stored)
        if not unconfirmed.is_empty:
            plan = self._plan(await self._homeserver.confirm(topology, unconfirmed), stored)
        refused = await self._backfill(plan)
        applied = [
            self._apply(stored.rooms.get(room_id) or Room(room_id), plan)
            for room_id in (*plan.changed, *plan.refused, *plan.gone)
        ]
        users = [UnitOfWork(user=user) for user in plan.users]
        seq_changed = plan.platform_chat_seq != stored.platform_chat_seq
        seq = plan.platform_chat_seq if seq_changed else None
        await self._journal.save_units_of_work(
            [*applied, *users, UnitOfWork(platform_chat_seq=seq)], began
        )
        self._context_provider.raise_platform_chat_seq(plan.platform_chat_seq)
        skipped = [asdict(remark) for remark in plan.skipped]
        skipped += [
            {"room_id": room_id, "reason": f"binding not written: {reason}"}
            for room_id, reason in refused.items()
        ]
        report = {
            "spaces": plan.spaces,
            "rooms_recovered": sum(room_id in plan.found for room_id in plan.changed),
            "rooms_unchanged": len(plan.unchanged),
            "backfilled": len(plan.backfilled) - len(refused),
            "conflicts": [asdict(remark) for remark in plan.conflicts],
            "skipped": skipped,
            "duration_s": round(self._clock.now() - began, 3),
        }
        logger = structlog.get_logger()
        attention = report["conflicts"] or report["skipped"]
        (logger.warning if attention else logger.info)("matrix_reconcile_complete", **report)
        return report

    async def reconcile_single_room(self, room_id: RoomId) -> TopologyConfirmed | TopologyRefused:
        """Repair one room; returns the result for its actor.

        Rooms are read concurrently; numbers are given to one room at a time, so that two repairs never give the same
        number (contract C12).
        """
        async with self._read_limit:
            spaces = await self._journal.spaces_of(room_id)
            topology = await self._homeserver.observe_room(room_id, spaces)
        async with self._numbering_lock:
            plan = self._plan(topology, await self._stored_for(topology, room_id))
            remarks = [
                asdict(remark)
                for remark in (*plan.conflicts, *plan.skipped)
                if remark.room_id == room_id
            ]
            report: dict[str, Any] = {"room_id": room_id, "remarks": remarks}
            found = plan.found.get(room_id)
            if found is None:
                reason = "the bot is not joined to it"
                if room_id in topology.rooms:
                    reason = NO_BINDING
                return TopologyRefused(remarks[0]["reason"] if remarks else reason, report)
            binding = found.binding
            self._context_provider.raise_platform_chat_seq(
                platform_number(binding.platform_chat_id)
            )
            if binding.room_type == "chat" and binding.space_id is not None:
                owner, number = binding.matrix_user_id, chat_number(binding.chat_id)
                self._chat_numbers[owner] = max(self._chat_numbers.get(owner, 0), number)
                recovered = ChatRecovered(binding.space_id, number)
                # Delivered at once: an actor skips a row that is older than one it has.
                self._deliver(
                    await self._journal.deliver_event(ActorKey(owner), recovered, self._clock.now())
                )
        # The binding is written to the homeserver before the waiting message is handled (contract C4). If that is
        # refused, the room's machine orders it again through the outbox, where the refusal is visible.
        missing = found.backfill and await self._store_binding(room_id, found) is not None
        return replace(found, backfill=missing, report=report)

    async def _stored_for(self, topology: Topology, room_id: RoomId) -> StoredState:
        """Return the rows that the topology is compared with, updated by the numbers of other repairs."""
        stored = await self._journal.stored_for(topology)
        users = dict(stored.users)
        for user_id, number in self._chat_numbers.items():
            user = users.get(user_id, User(user_id))
            users[user_id] = replace(user, next_chat_index=max(user.next_chat_index, number + 1))
        stored = replace(stored, users=users)
        room = topology.rooms.get(room_id)
        if room is not None and room.created_by != topology.bot:
            # A room of others may be joined once more and repaired at the same time.
            stored = replace(stored, in_flight=stored.in_flight - {room_id})
        return stored

    def _plan(self, topology: Topology, stored: StoredState) -> Plan:
        access, agents = self._context_provider.access, self._context_provider.agents()
        seq = max(stored.platform_chat_seq, self._context_provider.platform_chat_seq)
        known = replace(stored, platform_chat_seq=seq)
        return Planner(topology, known, agents.default_for, access.allows).plan()

    async def _backfill(self, plan: Plan) -> dict[RoomId, str]:
        """Write the missing bindings before anything is handled (contract C4); returns the refusals."""
        refused: dict[RoomId, str] = {}
        limit = anyio.CapacityLimiter(MAX_CONCURRENT_BACKFILLS)

        async def write(room_id: RoomId) -> None:
            async with limit:
                refusal = await self._store_binding(room_id, plan.found[room_id])
            if refusal is not None:
                refused[room_id] = refusal

        async with anyio.create_task_group() as group:
            for room_id in plan.backfilled:
                group.start_soon(write, room_id)
        return refused

    async def _store_binding(self, room_id: RoomId, found: TopologyConfirmed) -> str | None:
        """Write a binding to the homeserver; returns the reason of a refusal."""
        order = StoreBinding(room_id, found.binding.content())
        outcome = await self._homeserver.perform(order, TxnId(""))
        return outcome.reason if isinstance(outcome, Refused) else None

    def _apply(self, room: Room, plan: Plan) -> UnitOfWork:
        """Run one room's machine over the plan, and record its transitions.

        Volatile effects are dropped: at start nothing is sent and no repair begins.
        """
        context = self._context_provider.step_context()
        before = RoomActor(room)
        draft = StepDraft(before, context)
        if room.room_id in plan.gone:
            removed = BotRemoved(room.room_id, None, None, "not joined")
            step_room(draft, removed, "the bot is no longer in the room")
        else:
            if room.state != "reconciling":
                step_room(draft, DifferenceFound(), "start-up found a difference")
            found = plan.found.get(room.room_id)
            if found is not None:
                finish_repair(draft, replace(found, backfill=False))  # the binding was just written
            else:
                reason = plan.refused[room.room_id]
                finish_repair(draft, TopologyRefused(reason, {"reason": reason}, at_start=True))
        after, effects = draft.result()
        collector = EffectCollector(ActorKey(room.room_id), before)
        for effect in effects:
            collector.add(effect, context, self._context_provider)
        return collector.unit_of_work(after)

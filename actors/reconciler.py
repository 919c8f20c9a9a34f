"""Reconciliation, carried out: observe through the port, plan purely, apply in one transaction.

`reconcile_matrix_state` serves all rooms once at start (contract L4), `reconcile_single_room` one room at run time
(contract C7). Neither makes a room, invites anybody or changes a room's state (contracts L7, C9): all that is ever
written to the homeserver is the bot's own account data.
"""

from typing import Any

import anyio
import structlog
from msgspec.structs import asdict, replace

from actors.ports import Clock, Homeserver
from actors.surroundings import Surroundings
from machines.binding import chat_number, platform_number
from machines.doubts import doubts
from machines.happenings import Asked, ChatRecovered, Observed, OnboardingAsked
from machines.ids import ActorKey, RoomId, TxnId, UserId
from machines.orders import Refused, StoreBinding
from machines.plan import Found, Plan, Stored
from machines.reconcile import plan
from machines.room import (
    ROOM,
    DifferenceFound,
    RemovedFromRoom,
    Room,
    TopologyConfirmed,
    TopologyRefused,
    Welcome,
)
from machines.topology import Topology
from machines.user import User
from store import Journal
from store.records import InboxRow, Transition, Writes

BACKFILLS_AT_ONCE = 20
LOOKS_AT_ONCE = 20


class Reconciler:
    """Makes the local rows agree with the homeserver."""

    def __init__(
        self,
        homeserver: Homeserver,
        journal: Journal,
        clock: Clock,
        surroundings: Surroundings,
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._surroundings = surroundings
        self._looks = anyio.CapacityLimiter(LOOKS_AT_ONCE)
        self._numbering = anyio.Lock()
        self._numbers: dict[UserId, int] = {}
        """The highest chat number that a repair of this process gave to a user."""

    async def reconcile_matrix_state(self, topology: Topology) -> dict[str, Any]:
        """Reconcile every room with what the initial sync showed; returns the report of contract L4."""
        began = self._clock.now()
        stored = await self._journal.stored()
        decided = self._plan(topology, stored)
        in_doubt = doubts(decided, topology, stored)
        if not in_doubt.none:
            decided = self._plan(await self._homeserver.confirm(topology, in_doubt), stored)
        refused = await self._backfill(decided)
        settled = [
            self._settle(stored.rooms.get(room_id) or Room(room_id), decided)
            for room_id in (*decided.changed, *decided.refused, *decided.gone)
        ]
        seq = (
            None
            if decided.platform_chat_seq == stored.platform_chat_seq
            else decided.platform_chat_seq
        )
        users = (Writes(user=user) for user in decided.users)
        await self._journal.keep_visits([*settled, *users, Writes(platform_chat_seq=seq)], began)
        self._surroundings.raise_platform_chat_seq(decided.platform_chat_seq)
        skipped = [asdict(remark) for remark in decided.skipped]
        skipped += [
            {"room_id": room_id, "reason": f"binding not written: {reason}"}
            for room_id, reason in refused.items()
        ]
        report = {
            "spaces": decided.spaces,
            "rooms_recovered": sum(room_id in decided.found for room_id in decided.changed),
            "rooms_unchanged": len(decided.unchanged),
            "backfilled": len(decided.backfilled) - len(refused),
            "conflicts": [asdict(remark) for remark in decided.conflicts],
            "skipped": skipped,
            "duration_s": round(self._clock.now() - began, 3),
        }
        structlog.get_logger().info("matrix_reconcile_complete", **report)
        return report

    async def reconcile_single_room(self, room_id: RoomId) -> tuple[Observed, tuple[InboxRow, ...]]:
        """Look at one room; returns what it is, and what its owner's actor is to be told.

        Rooms are looked at side by side; only numbers are given one room at a time, so that two repairs never
        take the same (contract C12).
        """
        async with self._looks:
            spaces = await self._journal.spaces_of(room_id)
            topology = await self._homeserver.observe_room(room_id, spaces)
        rows: tuple[InboxRow, ...] = ()
        async with self._numbering:
            decided = self._plan(topology, await self._stored_about(topology, room_id))
            remarks = [*decided.conflicts, *decided.skipped]
            about = [asdict(remark) for remark in remarks if remark.room_id == room_id]
            report: dict[str, Any] = {"room_id": room_id, "remarks": about}
            found = decided.found.get(room_id)
            if found is None:
                reason = about[0]["reason"] if about else self._absence(topology, room_id)
                return Observed(None, "", False, False, reason, report), ()
            binding = found.binding
            self._surroundings.raise_platform_chat_seq(platform_number(binding.platform_chat_id))
            if binding.room_type == "chat" and binding.space_id is not None:
                owner, number = binding.matrix_user_id, chat_number(binding.chat_id)
                self._numbers[owner] = max(self._numbers.get(owner, 0), number)
                recovered = ChatRecovered(binding.space_id, number)
                rows = await self._journal.tell(ActorKey(owner), recovered, self._clock.now())
        # Kept on the homeserver before the message that waits is handled (contract C4); what is
        # refused here goes to the outbox, where the refusal can be seen.
        kept = not found.backfill or await self._keep_binding(room_id, found) is None
        reason = "the homeserver shows what it is"
        observed = Observed(
            binding, found.name, found.encrypted, not kept, reason, report, found.others
        )
        return observed, rows

    async def _stored_about(self, topology: Topology, room_id: RoomId) -> Stored:
        """Return the rows that a look is compared with, and the numbers that other repairs have just given."""
        stored = await self._journal.stored_about(topology)
        users = dict(stored.users)
        for user_id, number in self._numbers.items():
            user = users.get(user_id, User(user_id))
            users[user_id] = replace(user, next_chat_index=max(user.next_chat_index, number + 1))
        stored = replace(stored, users=users)
        room = topology.rooms.get(room_id)
        if room is not None and room.created_by != topology.bot:
            # That it is being joined once more is no reason not to say what it is.
            stored = replace(stored, left_alone=stored.left_alone - {room_id})
        return stored

    def _plan(self, topology: Topology, stored: Stored) -> Plan:
        access, agents = self._surroundings.access, self._surroundings.agents()
        seq = max(stored.platform_chat_seq, self._surroundings.platform_chat_seq)
        known = replace(stored, platform_chat_seq=seq)
        return plan(topology, known, agents.default_for, access.allows)

    async def _backfill(self, decided: Plan) -> dict[RoomId, str]:
        """Write the missing bindings before anything is handled (contract C4); returns the refusals."""
        refused: dict[RoomId, str] = {}
        limit = anyio.CapacityLimiter(BACKFILLS_AT_ONCE)

        async def write(room_id: RoomId) -> None:
            async with limit:
                refusal = await self._keep_binding(room_id, decided.found[room_id])
            if refusal is not None:
                refused[room_id] = refusal

        async with anyio.create_task_group() as group:
            for room_id in decided.backfilled:
                group.start_soon(write, room_id)
        return refused

    async def _keep_binding(self, room_id: RoomId, found: Found) -> str | None:
        """Write a binding on the homeserver; returns why it was refused, if it was."""
        order = StoreBinding(room_id, found.binding.content())
        outcome = await self._homeserver.perform(order, TxnId(""))
        return outcome.reason if isinstance(outcome, Refused) else None

    def _settle(self, room: Room, decided: Plan) -> Writes:
        """Run one room's machine over what start-up found; its transitions are kept like any other."""
        room_id = room.room_id
        facts: list[tuple[object, str]] = []
        if room_id in decided.gone:
            facts.append((RemovedFromRoom("not joined"), "the bot is no longer in the room"))
        else:
            if room.state != "reconciling":
                reason = "start-up found a difference"
                facts.append((DifferenceFound(reason), reason))
            facts.append(_judgement(room_id, decided))
        now = self._clock.now()
        transitions: list[Transition] = []
        told: list[tuple[ActorKey, object]] = []
        for fact, reason in facts:
            step = ROOM.step(room, fact)
            room, arrow = step.data, step.arrow
            if step.moved:
                room = replace(room, since=now, reason=reason)
                report = getattr(fact, "report", None)
                transitions.append(
                    Transition(
                        room_id, now, arrow.event, arrow.source, arrow.target, reason, report
                    )
                )
            told += [
                (ActorKey(effect.user_id), OnboardingAsked(Asked(room_id)))
                for effect in step.effects
                if isinstance(effect, Welcome)
            ]
        return Writes(room=room, transitions=tuple(transitions), told=tuple(told))

    @staticmethod
    def _absence(topology: Topology, room_id: RoomId) -> str:
        if room_id not in topology.rooms:
            return "the bot is not joined to it"
        return "the homeserver shows nothing it could be"


def _judgement(room_id: RoomId, decided: Plan) -> tuple[object, str]:
    found = decided.found.get(room_id)
    if found is None:
        reason = decided.refused[room_id]
        # No cool-down: the first message after a start may have its repair at once.
        return TopologyRefused(reason, 0.0, {"reason": reason}), reason
    confirmed = TopologyConfirmed(
        found.binding, found.name, found.encrypted, store=False, report={}, others=found.others
    )
    return confirmed, "the homeserver shows what it is"

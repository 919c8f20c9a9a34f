"""Builders of topologies for reconciliation, and local tables to which plans are applied."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from machines.ids import AgentId, RoomId, UserId
from machines.room.binding import Binding
from machines.room.plan import Plan, StoredState
from machines.room.reconcile import Planner
from machines.room.state import Room, RoomState
from machines.room.topology import ObservedChild, ObservedRoom, Topology
from machines.user.machine import User
from tests.machines.support import ANNA, BOT

AGENT = AgentId("default")


def link(room_id: str, sender: UserId = BOT, via: tuple[str, ...] = ("example.org",)) -> Any:
    return ObservedChild(RoomId(room_id), sender, via)


def space(room_id: str = "!space", *children: ObservedChild | str, **changes: Any) -> ObservedRoom:
    """Return a Space that the bot created; its owner is Anna by default."""
    links = tuple(link(child) if isinstance(child, str) else child for child in children)
    room = ObservedRoom(
        RoomId(room_id), BOT, 10, is_space=True, children=links, members=(ANNA,), name="Lambda"
    )
    return replace(room, **changes)


def chat(room_id: str = "!chat", created_at_ms: int = 20, **changes: Any) -> ObservedRoom:
    """Return a room that the bot created."""
    room = ObservedRoom(RoomId(room_id), BOT, created_at_ms, name=f"Room {room_id}")
    return replace(room, **changes)


def entry(room_id: str = "!entry", **changes: Any) -> ObservedRoom:
    """Return a room of Anna's to which she invited the bot."""
    return replace(ObservedRoom(RoomId(room_id), ANNA, 5, invited_by=ANNA), **changes)


def bound(
    chat_id: str = "C1",
    platform_chat_id: str = "1",
    owner: UserId = ANNA,
    space_id: str = "!space",
    **changes: Any,
) -> Binding:
    binding = Binding("chat", owner, chat_id, platform_chat_id, AGENT, RoomId(space_id))
    return replace(binding, **changes)


def row(room_id: str, binding: Binding | None, state: RoomState = "bound", **changes: Any) -> Room:
    return replace(Room(RoomId(room_id), state, binding=binding), **changes)


def topology(*rooms: ObservedRoom) -> Topology:
    return Topology(BOT, {room.room_id: room for room in rooms})


def allows(user_id: UserId) -> bool:
    return user_id.endswith(":example.org") and user_id != BOT


def plan_for(context: Topology | Iterable[ObservedRoom], stored: StoredState | None = None) -> Plan:
    shown = context if isinstance(context, Topology) else topology(*context)
    return Planner(shown, stored or StoredState(), lambda user_id: AGENT, allows).plan()


@dataclass
class ReconciledTables:
    """The homeserver and the local tables; plans change them as the reconciler does."""

    shown: Topology
    stored: StoredState = field(default_factory=StoredState)

    def plan(self) -> Plan:
        return plan_for(self.shown, self.stored)

    def apply(self, plan: Plan) -> None:
        """Apply a plan as `actors.reconciler` does: bindings to the homeserver, rows to the tables."""
        shown = dict(self.shown.rooms)
        for room_id in plan.backfilled:
            content = plan.found[room_id].binding.content()
            shown[room_id] = replace(shown[room_id], binding=content)
        rooms: dict[RoomId, Room] = dict(self.stored.rooms)
        for room_id in (*plan.changed, *plan.refused, *plan.gone):
            before = rooms.get(room_id, Room(room_id))
            rooms[room_id] = self._apply_to_room(before, plan)
            self._release_context(rooms, rooms[room_id])
        users: dict[UserId, User] = dict(self.stored.users)
        users.update({user.user_id: user for user in plan.users})
        self.shown = replace(self.shown, rooms=shown)
        seq = max(self.stored.platform_chat_seq, plan.platform_chat_seq)
        self.stored = replace(self.stored, rooms=rooms, users=users, platform_chat_seq=seq)

    @staticmethod
    def _apply_to_room(room: Room, plan: Plan) -> Room:
        if room.room_id in plan.gone:
            return replace(room, state="unregistered", onboarding_user=None)
        found = plan.found.get(room.room_id)
        if found is None:
            return replace(room, state="failed", onboarding_user=None)
        encrypted = room.encrypted or found.encrypted
        return replace(
            room,
            state="bound",
            binding=found.binding,
            name=found.name,
            encrypted=encrypted,
            onboarding_user=None,
        )

    @staticmethod
    def _release_context(rooms: dict[RoomId, Room], owner: Room) -> None:
        if owner.state != "bound" or owner.binding is None:
            return
        context = owner.binding.platform_chat_id
        for other in tuple(rooms.values()):
            same = other.binding is not None and other.binding.platform_chat_id == context
            if context and same and other.room_id != owner.room_id and other.binding:
                binding = replace(other.binding, platform_chat_id=None)
                rooms[other.room_id] = replace(other, binding=binding)

    def chats(self) -> Mapping[RoomId, Binding]:
        """Return the bindings of the bound chats in the tables."""
        return {
            room.room_id: room.binding
            for room in self.stored.rooms.values()
            if room.state == "bound" and room.binding and room.binding.room_type == "chat"
        }

    @property
    def settled(self) -> bool:
        """Whether another reconciliation would write nothing (contract C5)."""
        plan = self.plan()
        same_seq = plan.platform_chat_seq == self.stored.platform_chat_seq
        return same_seq and not (
            plan.changed or plan.refused or plan.gone or plan.users or plan.backfilled
        )

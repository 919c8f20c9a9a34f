"""The rows of the tables as values."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from machines.bot.machine import BotState
from machines.events.internal import OrderDone, ReplyTarget
from machines.events.orders import Order
from machines.events.priority import Priority
from machines.ids import ActorKey, AgentId, DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.state import Room
from machines.turn.state import Turn
from machines.user.chats import ChatSummary
from machines.user.machine import NewChat, User
from machines.user.preferences import Preferences


class InboxRow(Struct, frozen=True):
    """One event that waits for one actor; rows of the same actor and priority are handled in the order of `seq`.

    `received_at` is seconds since the epoch.
    """

    seq: int
    actor: ActorKey
    event: Any
    priority: Priority = Priority.MESSAGE
    received_at: float = 0.0


class OutboxRow(Struct, frozen=True):
    """One order. Orders of one `lane` are performed one after the other; `actor` gets the outcome.

    `txn_id_expired`: the order is so old, or from another device, that the homeserver may not know its transaction id
    any more.
    """

    txn_id: TxnId
    lane: str
    actor: ActorKey
    order: Order
    reports: bool
    not_before: float
    created_at: float
    txn_id_expired: bool = False


class FinishedOrder(Struct, frozen=True):
    """An order that was sent, or refused with a reason. `report`, if any, goes to its actor."""

    row: OutboxRow
    event_id: EventId | None = None
    refusal: str | None = None
    report: OrderDone | None = None


class Pending(Struct, frozen=True):
    """The room that is being created for a user, stored in `users.in_hand`."""

    reply_to: ReplyTarget | None = field(default=None, name="asked")
    chat: NewChat | None = None
    new_room_id: RoomId | None = field(default=None, name="made")


class TransitionRecord(Struct, frozen=True):
    """One row of `transitions`; `subject` is a room id or `bot`."""

    subject: str
    at: float
    event: str
    source: str
    target: str
    reason: str
    report: Mapping[str, Any] | None = None


class FailedTurn(Struct, frozen=True):
    """One row of `failed_turns`: a turn without a complete answer; `turn_id` is the event of its message."""

    room_id: str
    at: float
    turn_id: EventId
    agent_id: AgentId
    kind: str
    reason: str


class UnitOfWork(Struct, frozen=True):
    """The unit of work of one actor; committed as a whole or not at all."""

    room: Room | None = None
    turn: Turn | None = None
    turn_ended: RoomId | None = None
    user: User | None = None
    acked: tuple[int, ...] = ()
    dead_letters: tuple[tuple[int, str], ...] = ()
    deliveries: tuple[tuple[ActorKey, Struct], ...] = ()
    orders: tuple[OutboxRow, ...] = ()
    dropped_edits: tuple[TxnId, ...] = ()
    transitions: tuple[TransitionRecord, ...] = ()
    failed_turns: tuple[FailedTurn, ...] = ()
    platform_chat_seq: int | None = None
    preferences: tuple[tuple[UserId, Preferences], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return self == _EMPTY


_EMPTY = UnitOfWork()


class RoomRows(Struct, frozen=True):
    """A room as stored: its row (if any), its turn, and the first waiting inbox rows."""

    room: Room | None
    turn: Turn | None
    inbox: tuple[InboxRow, ...]


class UserRows(Struct, frozen=True):
    """A user as stored: their row (if any), their chats, and the first waiting inbox rows."""

    user: User | None
    chats: tuple[ChatSummary, ...]
    inbox: tuple[InboxRow, ...]


class BotRow(Struct, frozen=True):
    """The bot's own row."""

    bot_state: BotState
    user_id: UserId | None
    device_id: DeviceId | None
    sync_token: SyncToken | None
    platform_chat_seq: int

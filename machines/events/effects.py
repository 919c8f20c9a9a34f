"""What a step orders. Durable effects are committed first; the others follow the commit.

Durable effects become rows in the transaction that keeps the new state: `Enqueue`, `DropEdits`, `Ack`, `DeadLetter`,
`Tell`, `RecordTransition`, `ReservePlatformChatId`, `SavePreferences`. Volatile ones need no row, because they can be
derived again from the rows after a crash: `CallAgent`, `CancelCall`, `Reconcile`, `ShowTyping`, `MarkRead`, `Log`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from machines.events.agent import AgentRequest
from machines.events.internal import RoomEvent, UserEvent
from machines.events.matrix import BegunPart
from machines.events.orders import Order
from machines.ids import ActorKey, EventId, TxnId, UserId
from machines.user.preferences import Preferences


class Enqueue(Struct, frozen=True):
    """Put an order into the outbox of this actor, behind the orders that are already there.

    `not_before` is seconds since the epoch. With `reports` its outcome comes back as an `OrderDone`;
    without, only a refusal does. `begun` are parts of an answer that are in the room already.
    """

    order: Order
    txn_id: TxnId
    not_before: float = 0.0
    reports: bool = False
    begun: tuple[BegunPart, ...] = ()


class DropEdits(Struct, frozen=True):
    """Delete the intermediate edits of this message that still wait in the outbox (contract D8)."""

    edits: TxnId


class Ack(Struct, frozen=True):
    """Mark the inbox row as done."""

    seq: int


class DeadLetter(Struct, frozen=True):
    """Set the inbox row aside with this reason; it is kept, counted and shown."""

    seq: int
    reason: str


class Tell(Struct, frozen=True):
    """Put an event into another actor's inbox, in the same transaction."""

    actor: ActorKey
    event: RoomEvent | UserEvent


class RecordTransition(Struct, frozen=True):
    """Keep a room's transition (contract R2)."""

    event: str
    source: str
    target: str
    reason: str
    report: Mapping[str, Any] | None = None


class ReservePlatformChatId(Struct, frozen=True):
    """Reserve this `platform_chat_id`: it is never given out again (contract A5)."""

    platform_chat_id: str


class SavePreferences(Struct, frozen=True):
    """Keep a user's choices; they apply from the next step on, in every room."""

    user_id: UserId
    preferences: Preferences


class CallAgent(Struct, frozen=True):
    """Ask the agent for a user; `attempt` distinguishes the frames of this attempt from those of an earlier one."""

    turn_id: EventId
    attempt: int
    request: AgentRequest
    user_id: UserId


class CancelCall(Struct, frozen=True):
    """Cancel the call of the turn in hand."""


class Reconcile(Struct, frozen=True):
    """Start the repair of this room: `reconcile_single_room` (contract C7)."""


class ShowTyping(Struct, frozen=True):
    """Show or end the typing notice."""

    typing: bool


class MarkRead(Struct, frozen=True):
    """Mark an event read; `finished` also moves the bot's read position in the room (contract D12)."""

    event_id: EventId
    finished: bool = False


class Log(Struct, frozen=True):
    """Write one log line for the operator."""

    event: str
    fields: Mapping[str, Any]
    warning: bool = False


Effect = (
    Enqueue
    | DropEdits
    | Ack
    | DeadLetter
    | Tell
    | RecordTransition
    | ReservePlatformChatId
    | SavePreferences
    | CallAgent
    | CancelCall
    | Reconcile
    | ShowTyping
    | MarkRead
    | Log
)

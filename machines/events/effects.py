"""Effects: the actions that a step of an actor returns, and that the runtime performs after the step.

Durable effects are written in the transaction that saves the actor's new state: `Enqueue`, `DropEdits`, `Ack`,
`DeadLetter`, `Tell`, `RecordTransition`, `RecordFailedTurn`, `ReservePlatformChatId`, `SavePreferences`. The other
effects follow the commit and are not stored. After a crash they are derived from the stored state again, or are not
needed: `CallAgent`, `CancelCall`, `Reconcile`, `ShowTyping`, `MarkRead`, `Log`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from machines.events.agent import AgentRequest
from machines.events.internal import RoomEvent, UserEvent
from machines.events.matrix import BegunPart
from machines.events.orders import Order
from machines.ids import ActorKey, AgentId, EventId, TxnId, UserId
from machines.user.preferences import Preferences


class Enqueue(Struct, frozen=True):
    """Append an order to the outbox of this actor.

    It is not performed before `not_before`, in seconds since the epoch. The actor gets an `OrderDone` for a refusal,
    and with `reports` for every outcome. `begun` are the parts of the answer that are in the room already.
    """

    order: Order
    txn_id: TxnId
    not_before: float = 0.0
    reports: bool = False
    begun: tuple[BegunPart, ...] = ()


class DropEdits(Struct, frozen=True):
    """Delete the intermediate edits of the message `edits` that still wait in the outbox (contract D8)."""

    edits: TxnId


class Ack(Struct, frozen=True):
    """Mark an inbox row as processed."""

    seq: int


class DeadLetter(Struct, frozen=True):
    """Mark an inbox row as failed, with a reason. The row stays, is counted, and is shown by `inspect-room`."""

    seq: int
    reason: str


class Tell(Struct, frozen=True):
    """Append an event to the inbox of another actor."""

    actor: ActorKey
    event: RoomEvent | UserEvent


class RecordTransition(Struct, frozen=True):
    """Record a transition of a room (contract R2)."""

    event: str
    source: str
    target: str
    reason: str
    report: Mapping[str, Any] | None = None


class RecordFailedTurn(Struct, frozen=True):
    """Record a turn that ended without a complete answer (contract I6); `reason` is a sentence of this program."""

    turn_id: EventId
    agent_id: AgentId
    kind: str
    reason: str


class ReservePlatformChatId(Struct, frozen=True):
    """Reserve a `platform_chat_id`, so that it is never assigned again (contract A5)."""

    platform_chat_id: str


class SavePreferences(Struct, frozen=True):
    """Save a user's preferences; they apply from the next step on, in every room."""

    user_id: UserId
    preferences: Preferences


class CallAgent(Struct, frozen=True):
    """Call the agent on behalf of a user; `attempt` is copied into every event about this call."""

    turn_id: EventId
    attempt: int
    request: AgentRequest
    user_id: UserId


class CancelCall(Struct, frozen=True):
    """Cancel the call of the current turn."""


class Reconcile(Struct, frozen=True):
    """Start the repair of this room, `reconcile_single_room` (contract C7)."""


class ShowTyping(Struct, frozen=True):
    """Show or remove the typing notification."""

    typing: bool


class MarkRead(Struct, frozen=True):
    """Send a read receipt for an event (contract D6)."""

    event_id: EventId


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
    | RecordFailedTurn
    | ReservePlatformChatId
    | SavePreferences
    | CallAgent
    | CancelCall
    | Reconcile
    | ShowTyping
    | MarkRead
    | Log
)

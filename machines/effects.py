"""What a step wants done. Orders and records are committed first; everything else follows the commit.

Durable effects become rows in the transaction that keeps the new state: `Send`, `DropEdits`, `Consume`,
`SetAside`, `Tell`, `Record`, `TookPlatformChatId`, `SavePreferences`. Volatile ones can be derived again
from the rows after a crash, so they need no row: `Ask`, `HangUp`, `Reconcile`, `ShowTyping`, `MarkRead`, `Log`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from machines.facts import BegunPart
from machines.ids import ActorKey, EventId, TxnId, UserId
from machines.orders import Order
from machines.preferences import Preferences
from machines.talk import AgentRequest


class Send(Struct, frozen=True):
    """Put an order into the outbox of the stepping actor, after all that is already there.

    `not_before` is seconds since the epoch. With `reports` its outcome comes back as an `OrderDone`;
    without, only a refusal does. `begun` are parts of an answer that are in the room already.
    """

    order: Order
    txn_id: TxnId
    not_before: float = 0.0
    reports: bool = False
    begun: tuple[BegunPart, ...] = ()


class DropEdits(Struct, frozen=True):
    """Forget intermediate edits of this message that are still waiting (contract D8)."""

    edits: TxnId


class Consume(Struct, frozen=True):
    """The inbox row is dealt with."""

    seq: int


class SetAside(Struct, frozen=True):
    """The inbox row can't be dealt with, for this reason; it is kept, counted and shown."""

    seq: int
    reason: str


class Tell(Struct, frozen=True):
    """Put an event into another actor's inbox, in the same transaction."""

    actor: ActorKey
    event: Struct


class Record(Struct, frozen=True):
    """Keep a room's transition (contract R2)."""

    event: str
    source: str
    target: str
    reason: str
    report: Mapping[str, Any] | None = None


class TookPlatformChatId(Struct, frozen=True):
    """The next `platform_chat_id` was used; it is never given out again (contract A5)."""

    platform_chat_id: str


class SavePreferences(Struct, frozen=True):
    """Keep a user's choices; they hold from the next step on, whichever room it is in."""

    user_id: UserId
    preferences: Preferences


class Ask(Struct, frozen=True):
    """Ask the agent for a user; `attempt` tells the frames of this try from those of an earlier one."""

    turn_id: EventId
    attempt: int
    request: AgentRequest
    user_id: UserId


class HangUp(Struct, frozen=True):
    """Cancel the call of the turn in hand."""


class Reconcile(Struct, frozen=True):
    """Look at this one room on the homeserver and judge it (contract C7)."""


class ShowTyping(Struct, frozen=True):
    """Show or end the typing notice."""

    typing: bool


class MarkRead(Struct, frozen=True):
    """Mark an event read; `finished` also moves the bot's own place in the room (contract D12)."""

    event_id: EventId
    finished: bool = False


class Log(Struct, frozen=True):
    """One line for the operator."""

    event: str
    fields: Mapping[str, Any]
    warning: bool = False


Effect = (
    Send
    | DropEdits
    | Consume
    | SetAside
    | Tell
    | Record
    | TookPlatformChatId
    | SavePreferences
    | Ask
    | HangUp
    | Reconcile
    | ShowTyping
    | MarkRead
    | Log
)

"""What a step wants done. Orders and records are committed first; everything else follows the commit.

Durable effects become rows in the transaction that keeps the new state: `Send`, `DropEdits`, `Consume`,
`SetAside`, `Tell`, `Record`, `TookPlatformChatId`, `SavePreferences`. Volatile ones can be derived again
from the rows after a crash, so they need no row: `Ask`, `HangUp`, `Reconcile`, `ShowTyping`, `MarkRead`, `Log`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from machines.ids import ActorKey, EventId, TxnId, UserId
from machines.orders import Order
from machines.preferences import Preferences
from machines.talk import AgentRequest


@dataclass(frozen=True, slots=True)
class Send:
    """Put an order into the outbox of the stepping actor, after all that is already there.

    `not_before` is seconds since the epoch. With `reports` its outcome comes back as an `OrderDone`;
    without, only a refusal does.
    """

    order: Order
    txn_id: TxnId
    not_before: float = 0.0
    reports: bool = False


@dataclass(frozen=True, slots=True)
class DropEdits:
    """Forget intermediate edits of this message that are still waiting (contract D8)."""

    edits: TxnId


@dataclass(frozen=True, slots=True)
class Consume:
    """The inbox row is dealt with."""

    seq: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """The inbox row can't be dealt with, for this reason; it is kept, counted and shown."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Put an event into another actor's inbox, in the same transaction."""

    actor: ActorKey
    event: object


@dataclass(frozen=True, slots=True)
class Record:
    """Keep a room's transition (contract R2)."""

    event: str
    source: str
    target: str
    reason: str
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TookPlatformChatId:
    """The next `platform_chat_id` was used; it is never given out again (contract A5)."""

    platform_chat_id: str


@dataclass(frozen=True, slots=True)
class SavePreferences:
    """Keep a user's choices; they hold from the next step on, whichever room it is in."""

    user_id: UserId
    preferences: Preferences


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the agent; `attempt` tells the frames of this try from those of an earlier one."""

    turn_id: EventId
    attempt: int
    request: AgentRequest


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection of the turn in hand."""

    turn_id: EventId


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Look at this one room on the homeserver and judge it (contract C7)."""


@dataclass(frozen=True, slots=True)
class ShowTyping:
    """Show or end the typing notice."""

    typing: bool


@dataclass(frozen=True, slots=True)
class MarkRead:
    """Mark an event read; `finished` also moves the bot's own place in the room (contract D12)."""

    event_id: EventId
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Log:
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

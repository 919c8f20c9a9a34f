"""What happens to an actor besides what the homeserver told: outcomes, words of an agent, time, requests.

`OrderDone`, `Observed` and the requests between actors go through the inbox and survive a crash; what an
agent says and the passing of time are told to the actor directly and are derived anew after one.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from machines.binding import Binding
from machines.draft import AnswerText
from machines.facts import BegunPart, FileArrived, MalformedArrived, MessageArrived
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.orders import Outcome


class Asked(Struct, frozen=True):
    """Where something was asked for. `event_id` is empty for an invitation, which is no message.

    `begun` are the parts of an unfinished answer that are in the room already (contract D12).
    """

    room_id: RoomId
    event_id: EventId | None = None
    thread_root: EventId | None = None
    begun: tuple[BegunPart, ...] = ()


class OrderDone(Struct, frozen=True):
    """The outcome of an order that this actor gave; `order` names its kind, `answers` what it answered."""

    txn_id: TxnId
    order: str
    outcome: Outcome
    answers: EventId | None = None


class Observed(Struct, frozen=True):
    """What one targeted look at the homeserver came to: a binding, or the reason why there is none."""

    binding: Binding | None
    name: str
    encrypted: bool
    store: bool
    reason: str
    report: Mapping[str, Any]
    others: int | None = None


class Resumed(Struct, frozen=True):
    """The process was restarted, or the room's turn had been left in hand."""


class TimePassed(Struct, frozen=True):
    """Something may have come due."""


class MessageBehind(Struct, frozen=True):
    """A message came to a room that is not bound, behind as many as may wait there: it is not taken yet.

    `seq` is its inbox row, `received_at` seconds since the epoch.
    """

    seq: int
    message: MessageArrived | FileArrived | MalformedArrived
    received_at: float


class Activity(Struct, frozen=True):
    """What an agent is doing besides talking: using a tool of this name, or a step it reports."""

    kind: Literal["tool", "progress"]
    name: str


class AgentOutput(Struct, frozen=True):
    """The agent has said more: the whole answer of this try so far, and what it is doing."""

    turn_id: EventId
    attempt: int
    heard: AnswerText
    activity: Activity | None = None


class Confirmation(Struct, frozen=True):
    """A question of the agent, as it came."""

    id: str
    title: str
    description: str


class AgentDone(Struct, frozen=True):
    """The agent finished its answer.

    `asks` is what it wants to have confirmed (contract K8), `files` the paths that it offered.
    """

    turn_id: EventId
    attempt: int
    text: str
    tokens_used: int
    asks: Confirmation | None = None
    files: tuple[str, ...] = ()


class AnswerTooLong(Struct, frozen=True):
    """The answer is longer than may be shown: what fits of it. The call is over (contract E13)."""

    turn_id: EventId
    attempt: int
    heard: AnswerText


class CallDelayed(Struct, frozen=True):
    """The agent is not asked yet: too many calls are open."""

    turn_id: EventId
    attempt: int


class CallStarted(Struct, frozen=True):
    """The agent is asked now."""

    turn_id: EventId
    attempt: int


class AttemptFailed(Struct, frozen=True):
    """This try brought no answer. `retryable` as the protocol says; `kind` as in `AgentBroke`, or a code."""

    turn_id: EventId
    attempt: int
    kind: str
    reason: str
    retryable: bool


class OnboardingAsked(Struct, frozen=True):
    """He invited the bot, or wrote in an entry room: he is to have a Space and a chat (contract O2)."""

    asked: Asked


class NewChatAsked(Struct, frozen=True):
    """`!new`."""

    asked: Asked
    name: str


class ChatsAsked(Struct, frozen=True):
    """`!chats`."""

    asked: Asked


class ChatRecovered(Struct, frozen=True):
    """A repair brought one of his chats back; his counter moves past its number."""

    space_id: RoomId
    number: int


class MessageDropped(Struct, frozen=True):
    """A message was set aside because too many wait; in a room that is not bound it counts as writing (C8)."""

    sender: UserId


class QueueOverflowed(Struct, frozen=True):
    """So many messages wait here that those sent from `first` on are not kept (contract D14)."""

    waiting: int
    first: EventId | None


class AnswerReady(Struct, frozen=True):
    """What a user's actor answers; the room's actor says it, because only that knows who reads along now.

    `in_company` is said in its place in an entry room with others: it shows nothing of anybody (contract O5).
    """

    asked: Asked
    text: str
    in_company: str


class ChatSummary(Struct, frozen=True):
    """One of a user's chats, as his actor sees it."""

    room_id: RoomId
    chat_id: str
    name: str
    agent_id: str
    archived: bool
    state: str

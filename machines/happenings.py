"""Internal events: outcomes of orders, results of agents, time, and requests between actors.

`OrderDone` and the requests between actors are inbox rows and survive a crash. The results of agents, time and
`Observed` have no row: they are signalled to the actor, and after a crash they are produced anew.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from machines.draft import AnswerText
from machines.facts import Fact, FileArrived, MalformedArrived, MessageArrived
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.orders import Outcome
from machines.room import Binding, RoomMade, TopologyConfirmed
from machines.user import Asked


class OrderDone(Struct, frozen=True, tag="order_done"):
    """The outcome of an order that this actor gave; `order` is that one's tag, `answers` what it answered."""

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


class TurnBegan(Struct, frozen=True):
    """The next message of the room is to be answered."""


class UserStopped(Struct, frozen=True):
    """The user wrote `!stop` (contract K9)."""


class RoomLost(Struct, frozen=True):
    """The turn's room is no longer bound, and could not be restored in time (contract C8)."""

    reason: str


class CallDelayed(Struct, frozen=True):
    """The agent is not asked yet: too many calls are open."""

    turn_id: EventId
    attempt: int


class CallStarted(Struct, frozen=True):
    """The agent is asked now, after a `CallDelayed`."""

    turn_id: EventId
    attempt: int


class Activity(Struct, frozen=True):
    """What an agent is doing: using the tool of this name, or the step of this name that it reports."""

    kind: Literal["tool", "progress"]
    name: str


class AgentOutput(Struct, frozen=True):
    """The agent sent something: `text` is the whole answer of this attempt so far."""

    turn_id: EventId
    attempt: int
    text: AnswerText
    activity: Activity | None = None


class Confirmation(Struct, frozen=True):
    """A question of the agent, as it was received."""

    id: str
    title: str
    description: str


class AgentDone(Struct, frozen=True):
    """The agent finished its answer.

    `asks` is the question to confirm (contract K8), `files` are the paths that the agent offered.
    """

    turn_id: EventId
    attempt: int
    text: str
    tokens_used: int
    asks: Confirmation | None = None
    files: tuple[str, ...] = ()


class AnswerTooLong(Struct, frozen=True):
    """The answer is longer than may be shown; `text` is its beginning. The call is over (contract E13)."""

    turn_id: EventId
    attempt: int
    text: AnswerText


class AttemptFailed(Struct, frozen=True):
    """The attempt brought no answer; `kind` is that of `AgentBroke`, or an error code of the agent protocol."""

    turn_id: EventId
    attempt: int
    kind: str
    reason: str
    retryable: bool


class OnboardingAsked(Struct, frozen=True, tag="onboarding_requested"):
    """He invited the bot, or wrote in an entry room: he is to have a Space and a chat (contract O2)."""

    asked: Asked


class NewChatAsked(Struct, frozen=True, tag="new_chat_requested"):
    """`!new`."""

    asked: Asked
    name: str


class ChatsAsked(Struct, frozen=True, tag="chat_list_requested"):
    """`!chats`."""

    asked: Asked


class ChatRecovered(Struct, frozen=True, tag="chat_recovered"):
    """A repair brought one of his chats back; his counter moves past its number."""

    space_id: RoomId
    number: int


class MessageDropped(Struct, frozen=True, tag="message_dropped"):
    """A message was set aside because too many wait; in a room that is not bound it counts as writing (C8)."""

    sender: UserId


class QueueOverflowed(Struct, frozen=True, tag="queue_overflowed"):
    """So many messages wait here that those sent from `first` on are not kept (contract D14)."""

    waiting: int
    first: EventId | None


class AnswerReady(Struct, frozen=True, tag="answer_ready"):
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


InboxEvent = (
    Fact
    | OrderDone
    | OnboardingAsked
    | NewChatAsked
    | ChatsAsked
    | ChatRecovered
    | MessageDropped
    | QueueOverflowed
    | AnswerReady
    | RoomMade
    | TopologyConfirmed
)
"""What an inbox row may hold; each has a tag of its own."""

"""Internal events: what an actor takes besides Matrix events. Outcomes of orders, requests, agent output, time.

What one actor tells another, and `OrderDone`, has a row in the inbox and survives a crash. A signal has no row: agent
output, the end of a repair, and the passing of time are made again after a crash.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from machines.events.matrix import (
    BegunPart,
    FileArrived,
    MalformedArrived,
    MatrixEvent,
    MessageArrived,
)
from machines.events.orders import Outcome
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.room.binding import Binding
from machines.turn.answer_text import AnswerText


class ReplyTarget(Struct, frozen=True):
    """Where a request was made and is answered. `event_id` is `None` for an invitation, which is no message.

    `begun` are the parts of an unfinished answer that are in the room already (contract D12).
    """

    room_id: RoomId
    event_id: EventId | None = None
    thread_root: EventId | None = None
    begun: tuple[BegunPart, ...] = ()


class OrderDone(Struct, frozen=True, tag="order_done"):
    """The outcome of an order that this actor gave; `answers` is the message that the order answered."""

    txn_id: TxnId
    outcome: Outcome
    answers: EventId | None = None


class RoomMade(Struct, frozen=True, tag="room_made"):
    """The bot made this room and knows what it will be; it is not complete yet."""

    binding: Binding
    name: str


class RoomCompleted(Struct, frozen=True, tag="room_completed"):
    """The room that the bot made is complete: a Space exists, a chat is linked into its Space."""

    binding: Binding
    name: str


class TopologyConfirmed(Struct, frozen=True):
    """The homeserver shows what the room is.

    With `backfill` the homeserver does not have this binding yet. `others` is how many others are in the room, `None`
    when that is not known; a row cannot differ in it (contract C5).
    """

    binding: Binding
    name: str
    encrypted: bool
    backfill: bool
    others: int | None = None
    report: Mapping[str, Any] = {}


class TopologyRefused(Struct, frozen=True):
    """The homeserver does not show what the room is.

    `wanted_by` is a user who waits for an answer in the room. A refusal `at_start` is silent, and the next repair need
    not wait.
    """

    reason: str
    report: Mapping[str, Any]
    wanted_by: UserId | None = None
    at_start: bool = False


class Resumed(Struct, frozen=True):
    """The process was restarted, or the state of the actor was lost and is loaded again."""


class TimePassed(Struct, frozen=True):
    """Something may have come due."""


class MessageDeferred(Struct, frozen=True):
    """A message came to a room that is not bound and is full: it waits in the inbox and is not taken yet.

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
    """The attempt brought no answer; `kind` is that of `AgentFailure`, or an error code of the agent protocol."""

    turn_id: EventId
    attempt: int
    kind: str
    reason: str
    retryable: bool


class OnboardingRequested(Struct, frozen=True, tag="onboarding_requested"):
    """A user invited the bot, or wrote in an entry room: they get a Space and a chat (contract O2)."""

    reply_to: ReplyTarget = field(name="asked")


class NewChatRequested(Struct, frozen=True, tag="new_chat_requested"):
    """`!new`."""

    reply_to: ReplyTarget = field(name="asked")
    name: str


class ChatListRequested(Struct, frozen=True, tag="chat_list_requested"):
    """`!chats`."""

    reply_to: ReplyTarget = field(name="asked")


class ChatRecovered(Struct, frozen=True, tag="chat_recovered"):
    """A repair restored one of the user's chats; their counter moves past its number."""

    space_id: RoomId
    number: int


class MessageDropped(Struct, frozen=True, tag="message_dropped"):
    """A message was set aside because too many wait; in a room that is not bound it still starts a repair (C8)."""

    sender: UserId


class QueueOverflowed(Struct, frozen=True, tag="queue_overflowed"):
    """Too many messages wait here: those from `first` on are not kept (contract D14)."""

    waiting: int
    first: EventId | None


class AnswerReady(Struct, frozen=True, tag="answer_ready"):
    """The answer of a user's actor; the room's actor sends it, because only that knows who is in the room now.

    `shared_text` is sent instead in an entry room with others: it shows nothing of any user (contract O5).
    """

    reply_to: ReplyTarget = field(name="asked")
    text: str
    shared_text: str = field(name="in_company")


AttemptEvent = CallDelayed | CallStarted | AgentOutput | AgentDone | AnswerTooLong | AttemptFailed
"""What the runtime reports about one attempt."""
RoomSignal = (
    AttemptEvent | TimePassed | Resumed | TopologyConfirmed | TopologyRefused | MessageDeferred
)
"""What a room's actor takes without an inbox row."""
RoomInboxEvent = (
    MatrixEvent
    | OrderDone
    | RoomMade
    | RoomCompleted
    | AnswerReady
    | MessageDropped
    | QueueOverflowed
)
"""What a room's actor takes from its inbox."""
RoomEvent = RoomSignal | RoomInboxEvent
UserRequest = OnboardingRequested | NewChatRequested | ChatListRequested
UserEvent = UserRequest | OrderDone | ChatRecovered
"""What a user's actor takes."""
InboxEvent = RoomInboxEvent | UserEvent
"""What an inbox row may hold; each has a tag of its own."""

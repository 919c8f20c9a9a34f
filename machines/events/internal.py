"""Internal events: every event of an actor that is not a Matrix event.

Some have an inbox row and survive a crash: the outcomes of orders, and the events that one actor sends to another
(`Tell`). Signals have none: agent output, the result of a repair, and timers. After a crash they occur again.
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
    UnsupportedArrived,
)
from machines.events.orders import Outcome
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.room.binding import Binding, OwnerMembership
from machines.turn.answer_text import AnswerText


class ReplyTarget(Struct, frozen=True):
    """The message that an answer belongs to; `event_id` is `None` for an invitation, which is not a message.

    `begun` are the parts of an unfinished answer that are in the room already (contract D12). In an `encrypted` room
    the bot can write nothing: what matters is said in the chat.
    """

    room_id: RoomId
    event_id: EventId | None = None
    thread_root: EventId | None = None
    begun: tuple[BegunPart, ...] = ()
    encrypted: bool = False


class OrderDone(Struct, frozen=True, tag="order_done"):
    """The outcome of an order of this actor; `answers` is the message that the order replied to."""

    txn_id: TxnId
    outcome: Outcome
    answers: EventId | None = None


class RoomMade(Struct, frozen=True, tag="room_made"):
    """The bot created this room and knows its binding; the room is not complete yet."""

    binding: Binding
    name: str


class RoomCompleted(Struct, frozen=True, tag="room_completed"):
    """The room that the bot created is complete: a Space exists, a chat is linked into its Space."""

    binding: Binding
    name: str


class TopologyConfirmed(Struct, frozen=True):
    """A repair found the binding of the room on the homeserver.

    With `backfill` the binding is not stored on the homeserver yet. `others` is the number of members besides the bot,
    `None` if unknown, and `owner_membership` that of the owner; a difference in them is no conflict with the row
    (contract C5).
    """

    binding: Binding
    name: str
    encrypted: bool
    backfill: bool
    others: int | None = None
    owner_membership: OwnerMembership | None = None
    report: Mapping[str, Any] = {}


class TopologyRefused(Struct, frozen=True):
    """A repair found no valid binding of the room on the homeserver.

    `wanted_by` is a user who waits for an answer in the room. A refusal `at_start` sends no notice, and the next repair
    may follow at once.
    """

    reason: str
    report: Mapping[str, Any]
    wanted_by: UserId | None = None
    at_start: bool = False


class Resumed(Struct, frozen=True):
    """The actor was loaded from its rows, after a start of the process or after an error."""


class TimePassed(Struct, frozen=True):
    """A timer fired: something may be due."""


class MessageDeferred(Struct, frozen=True):
    """A message arrived in a room that is not bound and has too many waiting messages: it stays in the inbox.

    `seq` is its inbox row, `received_at` seconds since the epoch.
    """

    seq: int
    message: MessageArrived | FileArrived | UnsupportedArrived | MalformedArrived
    received_at: float


class TurnBegan(Struct, frozen=True):
    """The turn begins: its message is the next one to be answered."""


class UserStopped(Struct, frozen=True):
    """The user stopped the turn with `!stop` or `!clear` (contracts K6, K9)."""


class RoomLost(Struct, frozen=True):
    """The room of the turn is not bound, and could not be restored in time (contract C8)."""

    reason: str


class CallDelayed(Struct, frozen=True):
    """The call waits, because too many calls are open."""

    turn_id: EventId
    attempt: int


class CallStarted(Struct, frozen=True):
    """The call started, after a `CallDelayed`."""

    turn_id: EventId
    attempt: int


class Activity(Struct, frozen=True):
    """The current activity of an agent: the tool that it uses, or the step that it reports."""

    kind: Literal["tool", "progress"]
    name: str


class AgentOutput(Struct, frozen=True):
    """The agent sent a frame; `text` is the whole answer of this attempt so far."""

    turn_id: EventId
    attempt: int
    text: AnswerText
    activity: Activity | None = None


class Confirmation(Struct, frozen=True):
    """A question of the agent to the user (contract K8), as it was received."""

    id: str
    title: str
    description: str


class AgentDone(Struct, frozen=True):
    """The agent finished its answer; `files` are the paths that it offered."""

    turn_id: EventId
    attempt: int
    text: str
    tokens_used: int
    confirmation: Confirmation | None = None
    files: tuple[str, ...] = ()


class AnswerTooLong(Struct, frozen=True):
    """The answer exceeds the length limit; `text` is its beginning. The call has ended (contract E13)."""

    turn_id: EventId
    attempt: int
    text: AnswerText


class AttemptFailed(Struct, frozen=True):
    """The attempt failed; `kind` is the kind of an `AgentFailure`, or the code of an `AgentError`."""

    turn_id: EventId
    attempt: int
    kind: str
    reason: str
    retryable: bool


class OnboardingRequested(Struct, frozen=True, tag="onboarding_requested"):
    """A user invited the bot or wrote in an entry room, and gets a Space and a chat (contract O2)."""

    reply_to: ReplyTarget = field(name="asked")


class NewChatRequested(Struct, frozen=True, tag="new_chat_requested"):
    """The user wrote `!new` (contract K2)."""

    reply_to: ReplyTarget = field(name="asked")
    name: str


class ChatListRequested(Struct, frozen=True, tag="chat_list_requested"):
    """The user wrote `!chats` (contract K3)."""

    reply_to: ReplyTarget = field(name="asked")


class OpenChatRequested(Struct, frozen=True, tag="open_chat_requested"):
    """The user wrote `!open` (contract K12). `reopened`: it was written in this chat, which is open again already."""

    reply_to: ReplyTarget
    number: int
    reopened: bool = False


class WayBackRequested(Struct, frozen=True, tag="way_back_requested"):
    """The user's actor asks the room of a chat to let its owner back in, and to answer them (contract K12).

    `reopened`: the chat was archived until this command. `invited_to_space`: its owner is invited to the Space again.
    """

    reply_to: ReplyTarget
    reopened: bool
    invited_to_space: bool


class ChatRecovered(Struct, frozen=True, tag="chat_recovered"):
    """A repair restored a chat of the user, whose chat counter moves past its `number`."""

    space_id: RoomId
    number: int


class MessageDropped(Struct, frozen=True, tag="message_dropped"):
    """A message was dropped because too many wait. In an unbound room it still starts a repair (contract C8)."""

    sender: UserId


class QueueOverflowed(Struct, frozen=True, tag="queue_overflowed"):
    """Too many messages wait in the room: those from `first` on are dropped (contract D14)."""

    waiting: int
    first: EventId | None


class AnswerReady(Struct, frozen=True, tag="answer_ready"):
    """The answer of a user's actor. The room's actor sends it, because it knows who is in the room now.

    In an entry room with other people, or if `user_id`, who asked, has left it, the room's actor sends `shared_text`,
    which contains no personal data (contract O5).
    """

    reply_to: ReplyTarget = field(name="asked")
    text: str
    shared_text: str = field(name="in_company")
    user_id: UserId | None = None


AttemptEvent = CallDelayed | CallStarted | AgentOutput | AgentDone | AnswerTooLong | AttemptFailed
"""Signals of the runtime about one attempt."""
RoomSignal = (
    AttemptEvent | TimePassed | Resumed | TopologyConfirmed | TopologyRefused | MessageDeferred
)
"""Events of a room's actor that have no inbox row."""
RoomInboxEvent = (
    MatrixEvent
    | OrderDone
    | RoomMade
    | RoomCompleted
    | AnswerReady
    | WayBackRequested
    | MessageDropped
    | QueueOverflowed
)
"""Events of a room's actor that have an inbox row."""
RoomEvent = RoomSignal | RoomInboxEvent
UserRequest = OnboardingRequested | NewChatRequested | ChatListRequested | OpenChatRequested
UserEvent = UserRequest | OrderDone | ChatRecovered
"""Events of a user's actor; all of them have an inbox row."""
InboxEvent = RoomInboxEvent | UserEvent
"""Events that an inbox row can contain; each class has its own tag."""

"""One value of every kind of inbox or outbox row that older databases have too.

No field has its default, unless it was added later. `EVENTS_SINCE_0004` and `ORDERS_SINCE_0004` were added later.
"""

from machines.events.internal import (
    AnswerReady,
    ChatListRequested,
    ChatRecovered,
    MessageDropped,
    NewChatRequested,
    OnboardingRequested,
    OpenChatRequested,
    OrderDone,
    QueueOverflowed,
    ReplyTarget,
    RoomCompleted,
    RoomMade,
    WayBackRequested,
)
from machines.events.matrix import (
    BegunPart,
    BotRemoved,
    BotReturned,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    InviteArrived,
    LastMessageShown,
    MalformedArrived,
    MemberChanged,
    MembersCounted,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    QuestionShown,
    UnsupportedArrived,
)
from machines.events.orders import (
    CompleteRoom,
    CreateRoom,
    Done,
    EnsureInvited,
    Joined,
    JoinRoom,
    LinkChild,
    LookUpName,
    NameFound,
    NameRoom,
    RedactMessage,
    Refused,
    RejectInvite,
    RoomCreated,
    SendMessage,
    StoreBinding,
)
from machines.ids import ActorKey, AgentId, EventId, RoomId, TxnId, UserId
from machines.room.binding import Binding

BERT = UserId("@bert:example.org")
ROOM = RoomId("!journalled")
SPACE = RoomId("!space")
USER_KEY = ActorKey("@waiting:example.org")
BEGUN = (BegunPart(EventId("$part"), 2), BegunPart(EventId("$other part"), 3))
BINDING = Binding("chat", BERT, "C7", "77", AgentId("writer"), SPACE, archived=True)


def reply_to(number: int) -> ReplyTarget:
    return ReplyTarget(ROOM, EventId(f"$asked{number}"), EventId("$root"), BEGUN)


MATRIX_EVENTS = (
    MessageArrived(
        ROOM, EventId("$j1"), BERT, 'a "text"\n🗓', 17, EventId("$root"), BEGUN, EventId("$r"), True
    ),
    FileArrived(ROOM, EventId("$j2"), BERT, "plan.pdf", 18, EventId("$root"), EventId("$r"), True),
    MalformedArrived(ROOM, EventId("$j3"), BERT, EventId("$root")),
    EncryptedArrived(ROOM, EventId("$j4"), BERT, {"type": "m.x", "a": [1, None, {"b": 0.5}]}, 19),
    InviteArrived(ROOM, BERT, encrypted=True),
    BotRemoved(ROOM, EventId("$j5"), BERT, "kicked"),
    BotReturned(ROOM, EventId("$j6")),
    MemberChanged(ROOM, EventId("$j7"), BERT, "knock"),
    MembersCounted(ROOM, 3),
    QuestionShown(ROOM, EventId("$j8"), EventId("$question")),
    EncryptionEnabled(ROOM, EventId("$j9")),
)
"""The events of a sync."""

ROOM_EVENTS = (
    OrderDone(TxnId("t1"), Joined(ROOM, encrypted=True), EventId("$j1")),
    OrderDone(TxnId("t2"), Refused("too_large", "M_TOO_LARGE", "no"), EventId("$a")),
    MessageDropped(BERT),
    QueueOverflowed(10, EventId("$first")),
    AnswerReady(reply_to(1), "two chats", "not shown here"),
    RoomMade(BINDING, "Plans"),
    RoomCompleted(BINDING, "Plans"),
)
USER_EVENTS = (
    OrderDone(TxnId("t3"), NameFound("Bert ✓"), EventId("$b")),
    OrderDone(TxnId("t4"), RoomCreated(SPACE), EventId("$b")),
    OrderDone(TxnId("t5"), Done(EventId("$linked")), EventId("$b")),
    OnboardingRequested(reply_to(2)),
    NewChatRequested(reply_to(3), "Plans"),
    ChatListRequested(reply_to(4)),
    ChatRecovered(SPACE, 7),
)
"""The internal events of a room's and of a user's actor."""

ORDERS = (
    SendMessage(
        ROOM,
        "# a text 🗓",
        notice=True,
        answers=EventId("$j1"),
        part=2,
        partial=True,
        thread_root=EventId("$root"),
        edits=TxnId("t0"),
        edits_event_id=EventId("$edited"),
        droppable=True,
        shows_question=EventId("$question"),
    ),
    RedactMessage(ROOM, TxnId("t0"), EventId("$edited")),
    JoinRoom(ROOM),
    RejectInvite(ROOM),
    LookUpName(BERT),
    CreateRoom("nonce", "Plans", BERT, space=True, parent=SPACE, repeated=True),
    LinkChild(SPACE, ROOM),
    EnsureInvited(ROOM, BERT),
    NameRoom(ROOM, "Plans"),
    StoreBinding(ROOM, BINDING.content()),
)

EVENTS_SINCE_0004 = (
    UnsupportedArrived(
        ROOM, EventId("$j10"), BERT, "location", EventId("$root"), EventId("$r"), True
    ),
    MessageEdited(ROOM, EventId("$j11"), BERT, EventId("$j1"), "waves", 20, emote=True),
    MessageDeleted(ROOM, EventId("$j12"), BERT, EventId("$j1")),
    LastMessageShown(ROOM, EventId("$question")),
    WayBackRequested(reply_to(5), reopened=True, invited_to_space=True),
    OpenChatRequested(reply_to(6), 7, reopened=True),
    AnswerReady(reply_to(7), "two chats", "not shown here", BERT),
)
ORDERS_SINCE_0004 = (
    CreateRoom("nonce", "Plans", BERT, parent=SPACE, topic="A chat.", reason="It is ready."),
    EnsureInvited(ROOM, BERT, "Here it is again."),
    CompleteRoom(ROOM, SPACE, "A chat."),
)
"""What no database before version 4 contains."""

"""Values of every kind that the database stores, with a value in each field."""

from collections.abc import Iterable

from machines.events.agent import AgentRequest, ConfirmationAnswer, ContextRequest
from machines.events.internal import ReplyTarget
from machines.events.matrix import BegunPart, MatrixEvent, MessageArrived, SyncBatch
from machines.events.orders import SendMessage
from machines.ids import ActorKey, AgentId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.binding import Binding
from machines.room.chat_context import ChatContext, Question
from machines.room.state import Room
from machines.turn.reply import Finished, Part, Reply
from machines.turn.state import Turn
from machines.user.machine import NewChat, User
from machines.user.preferences import Preferences
from store import Journal
from store.records import InboxRow, OutboxRow

ANNA = UserId("@anna:example.org")
CHAT = RoomId("!chat")
KEY = ActorKey(CHAT)


def message(number: int, room_id: str = CHAT) -> MessageArrived:
    return MessageArrived(RoomId(room_id), EventId(f"${number}"), ANNA, f"text {number}", number)


def order(txn_id: str, lane: str = CHAT, **changes: object) -> OutboxRow:
    body = SendMessage(RoomId(lane), f"body of {txn_id}", **changes)  # type: ignore[arg-type]
    return OutboxRow(TxnId(txn_id), lane, ActorKey(lane), body, False, 0.0, 100.0)


async def save_events(
    journal: Journal, events: Iterable[MatrixEvent], at: float
) -> tuple[InboxRow, ...]:
    """Save a sync batch with these events."""
    return await journal.save_sync_batch(SyncBatch(SyncToken("s"), tuple(events)), at)


ROOMS = (
    Room(RoomId("!new")),
    Room(
        CHAT,
        "bound",
        12.5,
        "linked into its Space",
        Binding("chat", ANNA, "C1", "7", AgentId("writer"), RoomId("!space"), archived=True),
        "Plans 🗓",
        encrypted=True,
        onboarding_user=ANNA,
        owner_membership="leave",
        last_repair_at=99.25,
        failed_repairs=3,
        repair_pending=True,
        failure_reported=True,
        reminder_sent=True,
        last_message_seq=12,
        chat_context=ChatContext(
            "lunch",
            12,
            ("one", "two"),
            Question("q", "t", "d", 3.5, EventId("$asked"), 7),
            picking=True,
        ),
        others=4,
    ),
    Room(RoomId("!space"), "bound", 1.0, "made", Binding("space", ANNA)),
    Room(RoomId("!entry"), "failed", 1.0, "nothing", Binding("entry", ANNA)),
)
USERS = (
    User(ANNA),
    User(
        UserId("@bert:example.org"),
        "linking",
        "Bert ✓",
        RoomId("!his"),
        next_chat_index=9,
        reply_to=ReplyTarget(
            RoomId("!entry"), EventId("$asked"), EventId("$root"), (BegunPart(EventId("$p"), 2),)
        ),
        chat=NewChat("C8", "70", AgentId("writer"), "Chat 8"),
        new_room_id=RoomId("!made"),
    ),
)
PREFERENCES = Preferences(AgentId("writer"), "brief", {"files": False}, {"email-send": False})
TURN = Turn(
    EventId("$question"),
    AgentRequest(
        AgentId("writer"),
        "7",
        "$question",
        "what?",
        ("incoming/a.txt",),
        {"soul": "brief", "skills": {"files": False}},
        ConfirmationAnswer("q", accepted=True),
        ContextRequest("save", "lunch"),
    ),
    Reply(
        CHAT,
        EventId("$question"),
        EventId("$root"),
        (
            Part(TxnId("$question.1"), 3, 12345, partial=False, event_id=EventId("$part")),
            Part(TxnId("$question.2")),
        ),
        88.5,
        notice=True,
    ),
    user_id=ANNA,
    state="waiting_to_retry",
    attempt=3,
    begun_at=1.5,
    gives_up_at=121.5,
    ends_at=601.5,
    retry_at=90.25,
    failure_reason="the agent was silent",
    failure_kind="silent",
    shown="half",
    shown_finished=Finished(1, 40, "```py"),
)
TURN_ROW = """{
    "turn_id": "$question",
    "request": {
        "agent_id": "writer",
        "platform_chat_id": "7",
        "message_id": "$question",
        "text": "what?",
        "attachments": ["incoming/a.txt"],
        "settings": {"soul": "brief", "skills": {"files": false}},
        "confirmation": {"id": "q", "accepted": true},
        "context": {"action": "save", "name": "lunch"}
    },
    "reply": {
        "room_id": "!chat",
        "answers": "$question",
        "thread_root": "$root",
        "parts": [
            {"txn_id": "$question.1", "edits": 3, "shown": 12345, "partial": false, "event_id": "$part"},
            {"txn_id": "$question.2", "edits": 0, "shown": 0, "partial": true, "event_id": null}
        ],
        "shown_at": 88.5,
        "notice": true
    },
    "user_id": "@anna:example.org", "state": "waiting_to_retry", "tries": 3, "begun_at": 1.5,
    "gives_up_at": 121.5, "ends_at": 601.5, "retry_at": 90.25,
    "fault": "the agent was silent", "trouble": "silent", "shown": "half",
    "shown_behind": {"parts": 1, "offset": 40, "opening": "```py"}, "heard": null,
    "finished": {"parts": 0, "offset": 0, "opening": ""}, "status": "", "first_text_at": 0.0,
    "called_at": 0.0
}"""
"""`TURN` as an earlier version wrote it: with the fields of the current attempt, at their defaults."""

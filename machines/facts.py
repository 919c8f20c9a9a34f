"""What the homeserver told us, decoded and checked: the facts that are journalled before anything else.

`matrix` makes them from raw JSON; `store` keeps them in the inbox; the actors take them out again.
What nobody may ever act on (own messages, notices, edits, redactions; contract D5) never becomes a
fact. Who may do what is decided later, by the machines.
"""

from typing import Any, Literal

from msgspec import Struct

from machines.ids import EventId, RoomId, SyncToken, UserId

Membership = Literal["join", "invite", "leave", "ban", "knock"]


class BegunPart(Struct, frozen=True):
    """An event of a reply that was begun and not finished, with the number of its edits so far."""

    event_id: EventId
    edits: int = 0


class MessageArrived(Struct, frozen=True, tag="message"):
    """An `m.text` that somebody else sent to a room the bot is in.

    `body` is the plain text without a reply's quoted fallback; `thread_root` is the root event of
    the thread it stands in (contract D13); `sent_at_ms` is the server's `origin_server_ts`. `begun` is
    what history shows of an unfinished reply to it, in order, when the database was lost (contract D12).
    `replies_to` is the event it is a rich reply to; `addressed` says that it mentions the bot or replies to one
    of its messages, as far as the journal knows those (contract O5).
    """

    room_id: RoomId
    event_id: EventId
    sender: UserId
    body: str
    sent_at_ms: int
    thread_root: EventId | None = None
    begun: tuple[BegunPart, ...] = ()
    replies_to: EventId | None = None
    addressed: bool = False


class FileArrived(Struct, frozen=True, tag="file"):
    """A file, image, audio or video (msgtypes `m.file`, `m.image`, `m.audio`, `m.video`)."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    name: str
    sent_at_ms: int
    thread_root: EventId | None = None
    replies_to: EventId | None = None
    addressed: bool = False


class MalformedArrived(Struct, frozen=True, tag="malformed_message"):
    """A message that can't be decoded, of which only is known who sent it (contract D9)."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    thread_root: EventId | None = None


class EncryptedArrived(Struct, frozen=True, tag="encrypted_message"):
    """An `m.room.encrypted` that nothing here can read yet; `content` is kept for later keys."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    content: dict[str, Any]
    sent_at_ms: int


class InviteArrived(Struct, frozen=True, tag="invite"):
    """Somebody invited the bot to a room; `encrypted` is what the stripped state claims."""

    room_id: RoomId
    sender: UserId
    encrypted: bool


class BotRemoved(Struct, frozen=True, tag="bot_removed"):
    """The bot is out of a room: kicked, banned, left, or the room is gone."""

    room_id: RoomId
    event_id: EventId | None
    sender: UserId | None
    reason: str


class BotReturned(Struct, frozen=True, tag="bot_returned"):
    """The bot came in again after it was out: a timeline showed both, and nothing else will tell."""

    room_id: RoomId
    event_id: EventId


class MemberChanged(Struct, frozen=True, tag="member_changed"):
    """Somebody else's membership in a room changed; shown by `inspect-room`, never acted on."""

    room_id: RoomId
    event_id: EventId
    user_id: UserId
    membership: Membership


class MembersCounted(Struct, frozen=True, tag="members_counted"):
    """How many others than the bot are in a room, joined or invited; `None` when that is not known any more.

    It stands before what the same sync shows of the room's timeline: who reads along now reads the answers.
    """

    room_id: RoomId
    others: int | None


class QuestionShown(Struct, frozen=True, tag="question_shown"):
    """The bot's own event that shows an agent's question stands in the room's timeline (contract K8).

    `question` is the message whose answer asked it. Its place among the other facts is its place in the timeline.
    """

    room_id: RoomId
    event_id: EventId
    question: EventId


class EncryptionEnabled(Struct, frozen=True, tag="encryption_enabled"):
    """A room carries `m.room.encryption`: from here on no plaintext may be written into it."""

    room_id: RoomId
    event_id: EventId | None


Fact = (
    MessageArrived
    | FileArrived
    | MalformedArrived
    | EncryptedArrived
    | InviteArrived
    | BotRemoved
    | BotReturned
    | MemberChanged
    | MembersCounted
    | QuestionShown
    | EncryptionEnabled
)


class Quarantined(Struct, frozen=True):
    """Something that could not be decoded: kept with its reason, it stops nothing (contract D9).

    `sender` is named where that is all that is known of the place; `times` it happened in this batch.
    """

    source: Literal["timeline", "state", "invite", "leave", "to_device", "account_data", "sync"]
    room_id: RoomId | None
    event_id: EventId | None
    reason: str
    sender: UserId | None = None
    times: int = 1


class Gap(Struct, frozen=True):
    """A `limited` timeline: what lies between `since` and `before` has to be fetched (contract D4).

    `was_in` is whether the bot is known to have been in the room at `since`. The journal keeps a gap up to the token of
    the newest batch (`store/gaps.py`).
    """

    room_id: RoomId
    since: SyncToken
    before: SyncToken
    was_in: bool = False


class SyncBatch(Struct, frozen=True):
    """One decoded sync response; journalled whole, with its token, in one transaction (contract D3).

    `facts` keep the order of each room's timeline.
    """

    token: SyncToken
    facts: tuple[Fact, ...] = ()
    gaps: tuple[Gap, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()

"""Matrix events, decoded and checked: they are journalled before anything else.

`matrix` decodes them from raw JSON, `store` keeps them in the inbox, and the actors take them from there. The bot's own
messages, notices, edits and redactions are left out (contract D5). The machines decide later who may do what.
"""

from typing import Any, Literal

from msgspec import Struct

from machines.ids import EventId, RoomId, SyncToken, UserId

Membership = Literal["join", "invite", "leave", "ban", "knock"]


class BegunPart(Struct, frozen=True):
    """An event of an unfinished reply, with the number of its edits so far."""

    event_id: EventId
    edits: int = 0


class MessageArrived(Struct, frozen=True, tag="message"):
    """An `m.text` that somebody else sent to a room the bot is in.

    `body` is the plain text without a reply's quoted fallback; `thread_root` is the root event of its thread (contract
    D13); `sent_at_ms` is the server's `origin_server_ts`. `begun` are the events of an unfinished reply to it, in
    order, read from the history when the database was lost (contract D12). `replies_to` is the event that it is a rich
    reply to; `addressed` says that it mentions the bot or replies to one of its messages, as far as the journal knows
    those (contract O5).
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
    """A message that cannot be decoded; only its sender is known (contract D9)."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    thread_root: EventId | None = None


class EncryptedArrived(Struct, frozen=True, tag="encrypted_message"):
    """An `m.room.encrypted` event, which cannot be decrypted yet; `content` is kept for later keys."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    content: dict[str, Any]
    sent_at_ms: int


class InviteArrived(Struct, frozen=True, tag="invite"):
    """A user invited the bot to a room; `encrypted` is what the stripped state says."""

    room_id: RoomId
    sender: UserId
    encrypted: bool


class BotRemoved(Struct, frozen=True, tag="bot_removed"):
    """The bot is no longer in a room: it was kicked or banned, it left, or the room is gone."""

    room_id: RoomId
    event_id: EventId | None
    sender: UserId | None
    reason: str


class BotReturned(Struct, frozen=True, tag="bot_returned"):
    """The bot was removed and is in the room again: one timeline showed both, and no order reports the join."""

    room_id: RoomId
    event_id: EventId


class MemberChanged(Struct, frozen=True, tag="member_changed"):
    """The membership of another user changed; shown by `inspect-room`, without any other effect."""

    room_id: RoomId
    event_id: EventId
    user_id: UserId
    membership: Membership


class MembersCounted(Struct, frozen=True, tag="members_counted"):
    """How many others than the bot are in a room, joined or invited; `None` when that is not known any more.

    It comes before the events of the same sync's timeline: the users who are in the room now will read the answers.
    """

    room_id: RoomId
    others: int | None


class QuestionShown(Struct, frozen=True, tag="question_shown"):
    """The room's timeline shows the bot's own event with an agent's question (contract K8).

    `question` is the message whose answer asked it. It is ordered among the other events as in the timeline.
    """

    room_id: RoomId
    event_id: EventId
    question: EventId


class EncryptionEnabled(Struct, frozen=True, tag="encryption_enabled"):
    """A room has `m.room.encryption`: from now on no plaintext may be sent to it."""

    room_id: RoomId
    event_id: EventId | None


MatrixEvent = (
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
    """Something that could not be decoded; it is kept with the reason, and everything else goes on (contract D9).

    `sender` is given where neither room nor event is known; `times` is how often it happened in this batch.
    """

    source: Literal["timeline", "state", "invite", "leave", "to_device", "account_data", "sync"]
    room_id: RoomId | None
    event_id: EventId | None
    reason: str
    sender: UserId | None = None
    times: int = 1


class Gap(Struct, frozen=True):
    """A `limited` timeline: the events between `since` and `before` have to be fetched (contract D4).

    `was_in` is whether the bot is known to have been in the room at `since`. The journal keeps a gap up to the token of
    the newest batch (`store/gaps.py`).
    """

    room_id: RoomId
    since: SyncToken
    before: SyncToken
    was_in: bool = False


class SyncBatch(Struct, frozen=True):
    """One decoded sync response; journalled whole, with its token, in one transaction (contract D3).

    `events` keep the order of each room's timeline.
    """

    token: SyncToken
    events: tuple[MatrixEvent, ...] = ()
    gaps: tuple[Gap, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()

"""Matrix events, decoded and checked.

The package `matrix` decodes them from JSON, `store` writes them to the inbox, and only then the actors process them.
The bot's own messages and notices are left out (contract D5). Permissions are checked later, by the
machines.
"""

from typing import Any, Literal

from msgspec import Struct

from machines.ids import EventId, RoomId, SyncToken, UserId

Membership = Literal["join", "invite", "leave", "ban", "knock"]
UnsupportedKind = Literal["location", "sticker", "poll", "other"]


class BegunPart(Struct, frozen=True):
    """An event of an unfinished reply, with its number of edits."""

    event_id: EventId
    edits: int = 0


class MessageArrived(Struct, frozen=True, tag="message"):
    """An `m.text` message of a user in a room that the bot is in.

    `body` is the text without the quoted fallback of a reply, `thread_root` the root event of its thread (contract
    D13), `sent_at_ms` the server's `origin_server_ts`. `begun` are the events of the bot's unfinished reply, in order,
    read from the history after the database was lost (contract D12). `replies_to` is the event that it is a rich reply
    to. It is `addressed` if it mentions the bot or replies to a message of the bot (contract O5).
    `edited_at_ms` is the `origin_server_ts` of the edit that `body` comes from, `None` for the original text (contract
    D17). The body of an `emote` (`m.emote`) begins with `* ` and the name of the sender.
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
    edited_at_ms: int | None = None
    emote: bool = False


class FileArrived(Struct, frozen=True, tag="file"):
    """A file, image, audio or video of a user (`m.file`, `m.image`, `m.audio`, `m.video`).

    `caption` is empty if there is none (fact 23). `is_voice` marks a voice message. `begun` is that of a message, and
    so is `edited_at_ms`, for an edit of the caption.
    """

    room_id: RoomId
    event_id: EventId
    sender: UserId
    name: str
    sent_at_ms: int
    thread_root: EventId | None = None
    replies_to: EventId | None = None
    addressed: bool = False
    caption: str = ""
    is_voice: bool = False
    begun: tuple[BegunPart, ...] = ()
    edited_at_ms: int | None = None


class UnsupportedArrived(Struct, frozen=True, tag="unsupported_message"):
    """A message of a kind that cannot be sent to an agent (contract D5)."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    kind: UnsupportedKind
    thread_root: EventId | None = None
    replies_to: EventId | None = None
    addressed: bool = False


class MessageEdited(Struct, frozen=True, tag="message_edited"):
    """An edit (`m.replace`) of the message `target`; `body` and `emote` are those of its `m.new_content`.

    For a file (`is_file`), `body` is its new caption, which may be empty.

    The sender may be another user than that of the message: then it has no effect (fact 15).
    """

    room_id: RoomId
    event_id: EventId
    sender: UserId
    target: EventId
    body: str
    sent_at_ms: int
    emote: bool = False
    is_file: bool = False


class MessageDeleted(Struct, frozen=True, tag="message_deleted"):
    """A redaction of the event `target`. The homeserver has checked that the sender may redact it."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    target: EventId


class MalformedArrived(Struct, frozen=True, tag="malformed_message"):
    """A message whose content cannot be decoded (contract D9)."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    thread_root: EventId | None = None


class EncryptedArrived(Struct, frozen=True, tag="encrypted_message"):
    """An `m.room.encrypted` event. The bot cannot decrypt it; `content` is stored unchanged."""

    room_id: RoomId
    event_id: EventId
    sender: UserId
    content: dict[str, Any]
    sent_at_ms: int


class InviteArrived(Struct, frozen=True, tag="invite"):
    """A user invited the bot to a room; `encrypted` is read from the stripped state of the invitation."""

    room_id: RoomId
    sender: UserId
    encrypted: bool


class BotRemoved(Struct, frozen=True, tag="bot_removed"):
    """The bot is no longer in a room: it was kicked or banned, it left, or the room does not exist any more."""

    room_id: RoomId
    event_id: EventId | None
    sender: UserId | None
    reason: str


class BotReturned(Struct, frozen=True, tag="bot_returned"):
    """The bot is in the room again: one timeline contained its removal and a later join without an order of the bot."""

    room_id: RoomId
    event_id: EventId


class MemberChanged(Struct, frozen=True, tag="member_changed"):
    """The membership of another user changed."""

    room_id: RoomId
    event_id: EventId
    user_id: UserId
    membership: Membership


class MembersCounted(Struct, frozen=True, tag="members_counted"):
    """The number of members besides the bot, joined or invited; `None` if it is no longer known.

    It precedes the timeline events of the same sync, because the present members will read the answers to them.
    """

    room_id: RoomId
    others: int | None


class QuestionShown(Struct, frozen=True, tag="question_shown"):
    """The timeline of the room contains the bot's event with an agent's question (contract K8).

    `question` is the user's message whose answer contains the question. Its position among the other events is that of
    the timeline.
    """

    room_id: RoomId
    event_id: EventId
    question: EventId


class LastMessageShown(Struct, frozen=True, tag="last_message_shown"):
    """The newest message in a timeline is one that gets no answer: the bot's own, or a notice (contract D18).

    `answers` is the message that it answers. The journal keeps this only where a message is still to be answered.
    """

    room_id: RoomId
    answers: EventId | None = None


class EncryptionEnabled(Struct, frozen=True, tag="encryption_enabled"):
    """The room has `m.room.encryption`: from now on no plaintext may be sent to it."""

    room_id: RoomId
    event_id: EventId | None


MatrixEvent = (
    MessageArrived
    | FileArrived
    | UnsupportedArrived
    | MalformedArrived
    | MessageEdited
    | MessageDeleted
    | EncryptedArrived
    | InviteArrived
    | BotRemoved
    | BotReturned
    | MemberChanged
    | MembersCounted
    | QuestionShown
    | LastMessageShown
    | EncryptionEnabled
)


class Quarantined(Struct, frozen=True):
    """A part of a sync that cannot be decoded. It is stored with the reason, and the rest is processed (contract D9).

    `sender` is set if neither room nor event is known; `times` is how often it occurred in this batch.
    """

    source: Literal["timeline", "state", "invite", "leave", "to_device", "account_data", "sync"]
    room_id: RoomId | None
    event_id: EventId | None
    reason: str
    sender: UserId | None = None
    times: int = 1


class Gap(Struct, frozen=True):
    """The missing part of a `limited` timeline: the events between `since` and `before` must be fetched (contract D4).

    `was_in` is whether the bot is known to have been in the room at `since`. The journal moves `before` on to the token
    of the newest batch (`store/gaps.py`).
    """

    room_id: RoomId
    since: SyncToken
    before: SyncToken
    was_in: bool = False


class SyncBatch(Struct, frozen=True):
    """A decoded sync response, which is journalled with its token in one transaction (contract D3).

    `events` have the order of each room's timeline, which ends with the message of `last_shown` if there is one.
    """

    token: SyncToken
    events: tuple[MatrixEvent, ...] = ()
    gaps: tuple[Gap, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    last_shown: tuple[LastMessageShown, ...] = ()

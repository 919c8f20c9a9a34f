"""Decodes one raw timeline event into one Matrix event of `machines.events.matrix`, or raises the reason why it can't.

All checks are made by hand, on the used fields only: a schema validator costs twenty times as much (fact 2), and an
event of a user must never raise anything but `Undecodable` (facts 1 and 10, contract D9).
"""

import re
from typing import Any, Final, get_args

from msgspec import Struct

from machines.events.matrix import (
    BotRemoved,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    MalformedArrived,
    MatrixEvent,
    MemberChanged,
    Membership,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    QuestionShown,
    UnsupportedArrived,
    UnsupportedKind,
)
from machines.ids import EventId, RoomId, UserId, localpart
from matrix.http.cleaning import clean_text
from matrix.keys import QUESTION_KEY
from matrix.raw_events import as_dict, as_event_id, as_user_id, is_id, is_unicode
from matrix.sync.membership import previous_membership

_MAX_TIME_MS = 2**53
_MAX_REASON_LENGTH = 255
_MEMBERSHIPS: Final = frozenset(get_args(Membership))
_MESSAGE_TYPES = frozenset({"m.room.message", "m.room.encrypted"})
_TEXT_TYPES = frozenset({"m.text", "m.emote"})
_UNSUPPORTED: Final[dict[str, UnsupportedKind]] = {
    "m.sticker": "sticker",
    "m.poll.start": "poll",
    "org.matrix.msc3381.poll.start": "poll",
}
"""Event types that a user means as messages, and that cannot be sent to an agent (contract D5)."""
_SILENT_TYPES = frozenset({"m.notice", "m.server_notice"})
_VERIFICATION = "m.key.verification."
_VOICE_KEY = "org.matrix.msc3245.voice"
FILE_TYPES = frozenset({"m.file", "m.image", "m.audio", "m.video"})

# The fields that decryption needs; all others are dropped.
_MEGOLM_FIELDS = ("algorithm", "ciphertext", "sender_key", "session_id", "device_id")

_REPLY_FALLBACK = re.compile(r"\A> (?:\* )?<@[^>\n]*>[^\n]*(?:\n>[^\n]*)*\n{0,2}")


class Undecodable(Exception):
    """The event can't be decoded; the rest of its timeline is decoded all the same."""


def decode_event(event: object, room_id: RoomId, bot: UserId) -> MatrixEvent | None:
    """Return the decoded event, `None` for an event that the bot never reacts to (contract D5).

    Raises:
        Undecodable: it is malformed.
    """
    if type(event) is not dict:
        raise Undecodable("the event is not an object")
    kind = event.get("type")
    if type(kind) is str and (kind in _MESSAGE_TYPES or kind in _UNSUPPORTED):
        if "state_key" in event:
            return None  # nio would process an encrypted state event as state (fact 10)
        if event.get("sender") == bot:
            return _question(event, room_id) if kind == "m.room.message" else None
        return _arrived(event, room_id, bot)
    if kind == "m.room.redaction":
        return _deleted(event, room_id, bot)
    if kind == "m.room.member":
        return _member_changed(event, room_id, bot)
    if kind == "m.room.encryption" and event.get("state_key") == "":
        return EncryptionEnabled(room_id, as_event_id(event.get("event_id")))
    if type(kind) is not str:
        raise Undecodable("the event has no type")
    return None


def malformed_message(event: object, room_id: RoomId, bot: UserId) -> MalformedArrived | None:
    """Return the id and sender of a message that is `Undecodable`, so that the sender can be answered; else `None`."""
    if type(event) is not dict or event.get("type") != "m.room.message" or "state_key" in event:
        return None
    event_id, sender = as_event_id(event.get("event_id")), as_user_id(event.get("sender"))
    if event_id is None or sender is None or sender == bot:
        return None
    return MalformedArrived(room_id, event_id, sender)


class _Relation(Struct, frozen=True):
    """The relation of a message to others: an edit, a part of a thread, a rich reply."""

    is_edit: bool = False
    edits: EventId | None = None
    thread_root: EventId | None = None
    is_reply: bool = False
    replies_to: EventId | None = None


def _relation(content: dict[str, Any]) -> _Relation:
    relation = content.get("m.relates_to")
    if relation is None:
        return _Relation()
    if type(relation) is not dict:
        raise Undecodable("m.relates_to is not an object")
    kind = relation.get("rel_type")
    if kind == "m.replace":
        return _Relation(is_edit=True, edits=as_event_id(relation.get("event_id")))
    root = as_event_id(relation.get("event_id")) if kind == "m.thread" else None
    reply = relation.get("m.in_reply_to")
    if type(reply) is not dict:
        return _Relation(thread_root=root)
    # In a thread, `m.in_reply_to` may be only a fallback for clients without threads.
    falls_back = kind == "m.thread" and relation.get("is_falling_back") is True
    replies_to = None if falls_back else as_event_id(reply.get("event_id"))
    return _Relation(thread_root=root, is_reply=True, replies_to=replies_to)


def _mentions(content: dict[str, Any], bot: UserId) -> bool:
    """Whether a message mentions the bot explicitly (`m.mentions`); its text is not searched for names."""
    mentioned = as_dict(content.get("m.mentions")).get("user_ids")
    return type(mentioned) is list and bot in mentioned


def _is_redacted(event: dict[str, Any]) -> bool:
    return "redacted_because" in as_dict(event.get("unsigned"))


def _arrived(event: dict[str, Any], room_id: RoomId, bot: UserId) -> MatrixEvent | None:
    """Decode a message of somebody else, encrypted or not."""
    event_id, sender, content = _event_id(event), _sender(event), _content(event)
    if _is_redacted(event):
        return None
    relation = _relation(content)
    if relation.is_edit:
        return _edited(event, room_id, relation.edits)
    if event["type"] == "m.room.encrypted":
        fields = _megolm_fields(content, relation.thread_root)
        return EncryptedArrived(room_id, event_id, sender, fields, _sent_at_ms(event))
    unsupported = _UNSUPPORTED.get(event["type"])
    msgtype = content.get("msgtype") if unsupported is None else ""
    if type(msgtype) is not str:
        raise Undecodable("the message has no msgtype")
    if msgtype in _TEXT_TYPES:
        text, emote = _text(content, sender, strip_quote=relation.is_reply)
        return MessageArrived(
            room_id,
            event_id,
            sender,
            text,
            _sent_at_ms(event),
            relation.thread_root,
            replies_to=relation.replies_to,
            addressed=_mentions(content, bot),
            emote=emote,
        )
    if msgtype in FILE_TYPES:
        name, caption = _name_and_caption(content)
        return FileArrived(
            room_id,
            event_id,
            sender,
            clean_text(name),
            _sent_at_ms(event),
            relation.thread_root,
            relation.replies_to,
            _mentions(content, bot),
            caption,
            is_voice=_VOICE_KEY in content,
        )
    if msgtype in _SILENT_TYPES or msgtype.startswith(_VERIFICATION):
        return None
    return UnsupportedArrived(
        room_id,
        event_id,
        sender,
        unsupported or ("location" if msgtype == "m.location" else "other"),
        relation.thread_root,
        relation.replies_to,
        _mentions(content, bot),
    )


def _text(content: dict[str, Any], sender: UserId, *, strip_quote: bool) -> tuple[str, bool]:
    """Return the text of an `m.text` or `m.emote` message, and whether it is an emote.

    An emote names its sender by the localpart; `matrix.sync.emotes` replaces it by the display name.
    """
    msgtype, body = content.get("msgtype"), content.get("body")
    if type(body) is not str or type(msgtype) is not str or msgtype not in _TEXT_TYPES:
        raise Undecodable("the message's body is not text")
    body = clean_text(body)
    if strip_quote:
        body = without_fallback(body)
    if msgtype == "m.emote":
        return f"{emote_opening(localpart(sender))}{body}", True
    return body, False


def emote_opening(name: str) -> str:
    """Return what stands before the text of an emote."""
    return f"* {name} "


def _name_and_caption(content: dict[str, Any]) -> tuple[str, str]:
    """Return the name of a file, and its caption or an empty text.

    A voice message has no caption (contract F1): clients describe it by a text of their own, such as "Voice message".
    """
    name, body = content.get("filename"), content.get("body")
    if type(name) is not str or not name:
        name = body
    if type(name) is not str:
        raise Undecodable("the file has no name")
    if type(body) is not str or body == name or _VOICE_KEY in content:
        return name, ""
    return name, clean_text(body).strip()


def _edited(event: dict[str, Any], room_id: RoomId, target: EventId | None) -> MessageEdited | None:
    """Return an edit of a text or of a file's caption, `None` for any other one: it changes nothing (contract D17)."""
    content = as_dict(_content(event).get("m.new_content"))
    sender = _sender(event)
    if event["type"] != "m.room.message" or target is None:
        return None
    msgtype = content.get("msgtype")
    is_file, emote = type(msgtype) is str and msgtype in FILE_TYPES, False
    try:
        if is_file:
            _, body = _name_and_caption(content)
        else:
            body, emote = _text(content, sender, strip_quote=False)
        return MessageEdited(
            room_id, _event_id(event), sender, target, body, _sent_at_ms(event), emote, is_file
        )
    except Undecodable:
        return None


def bundled_edit(event: object, decoded: MatrixEvent, bot: UserId) -> MessageEdited | None:
    """Return the newest edit of a message that the homeserver sent with it; its own event may not be sent."""
    if not isinstance(decoded, MessageArrived | FileArrived):
        return None
    relations = as_dict(as_dict(as_dict(event).get("unsigned")).get("m.relations"))
    try:
        edit = decode_event(as_dict(relations.get("m.replace")), decoded.room_id, bot)
    except Undecodable:
        return None
    if not isinstance(edit, MessageEdited) or edit.target != decoded.event_id:
        return None
    return edit


def _deleted(event: dict[str, Any], room_id: RoomId, bot: UserId) -> MessageDeleted | None:
    """Return a redaction; older room versions name the redacted event outside of the content."""
    if "state_key" in event or event.get("sender") == bot or _is_redacted(event):
        return None
    target = as_event_id(event.get("redacts"))
    if target is None:
        target = as_event_id(as_dict(event.get("content")).get("redacts"))
    if target is None:
        return None
    return MessageDeleted(room_id, _event_id(event), _sender(event), target)


def without_fallback(body: str) -> str:
    """Return the body of a rich reply without the quote that older clients put before it."""
    return _REPLY_FALLBACK.sub("", body) if body[:1] == ">" else body


def _question(event: dict[str, Any], room_id: RoomId) -> QuestionShown | None:
    """Return the event for an own message with an agent's question (contract K8), `None` for other own messages."""
    question = as_event_id(as_dict(event.get("content")).get(QUESTION_KEY))
    event_id = as_event_id(event.get("event_id"))
    if question is None or event_id is None or _is_redacted(event):
        return None
    return QuestionShown(room_id, event_id, question)


def _megolm_fields(content: dict[str, Any], thread_root: EventId | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in _MEGOLM_FIELDS:
        value = content.get(field)
        if type(value) is str and is_unicode(value):
            fields[field] = value
    if "algorithm" not in fields or "ciphertext" not in fields:
        raise Undecodable("the encrypted event has no algorithm or ciphertext")
    if thread_root is not None:
        fields["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread_root}
    return fields


def _member_changed(
    event: dict[str, Any], room_id: RoomId, bot: UserId
) -> MemberChanged | BotRemoved | None:
    """Return the change of a membership; of the bot's own memberships, only its removal."""
    if "state_key" not in event:
        return None  # anybody can send such an event; it is not a membership
    user_id = event["state_key"]
    if user_id == bot:
        return bot_removed(event, room_id, bot)
    if not is_id(user_id, "@"):
        raise Undecodable("the membership's state_key is not a user id")
    membership = _content(event).get("membership")
    if type(membership) is not str or membership not in _MEMBERSHIPS:
        raise Undecodable("the membership is none of Matrix's")
    return MemberChanged(
        room_id,
        _event_id(event),
        UserId(user_id),
        membership,  # type: ignore[arg-type]  # one of Membership, just checked
    )


def bot_removed(event: dict[str, Any], room_id: RoomId, bot: UserId) -> BotRemoved | None:
    """Return the removal of the bot from the room, with its reason; `None` when this membership is no removal.

    An invitation that was rejected or withdrawn is not a removal.

    Raises:
        Undecodable: it is malformed.
    """
    content = _content(event)
    membership = content.get("membership")
    if membership not in ("leave", "ban") or previous_membership(event) in ("invite", "knock"):
        return None
    sender = _sender(event)
    text = f"{'banned' if membership == 'ban' else 'kicked'} by {sender}"
    if sender == bot:
        text = "the bot left"
    reason = content.get("reason")
    if type(reason) is str and reason:
        text = f"{text}: {clean_text(reason)[:_MAX_REASON_LENGTH]}"
    return BotRemoved(room_id, _event_id(event), sender, text)


def _event_id(event: dict[str, Any]) -> EventId:
    event_id = as_event_id(event.get("event_id"))
    if event_id is None:
        raise Undecodable("the event has no valid event_id")
    return event_id


def _sender(event: dict[str, Any]) -> UserId:
    sender = as_user_id(event.get("sender"))
    if sender is None:
        raise Undecodable("the event has no valid sender")
    return sender


def _sent_at_ms(event: dict[str, Any]) -> int:
    sent_at_ms = event.get("origin_server_ts")
    if type(sent_at_ms) is not int or not 0 <= sent_at_ms <= _MAX_TIME_MS:
        raise Undecodable("the event has no valid origin_server_ts")
    return sent_at_ms


def _content(event: dict[str, Any]) -> dict[str, Any]:
    content = event.get("content")
    if type(content) is not dict:
        raise Undecodable("the event's content is not an object")
    return content

"""Decodes one raw timeline event into one Matrix event of `machines.events.matrix`, or says why it can't.

All checks are made by hand, on the used fields only: a schema validator costs twenty times as much (fact 2), and an
event of a user must never raise anything but `Undecodable` (facts 1 and 10, contract D9).
"""

import re
from typing import Any

from msgspec import Struct

from machines.events.matrix import (
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    MalformedArrived,
    MatrixEvent,
    MessageArrived,
    QuestionShown,
)
from machines.ids import EventId, RoomId, UserId
from matrix.http.cleaning import clean_text
from matrix.keys import QUESTION_KEY
from matrix.raw_events import as_dict, is_id, is_unicode
from matrix.sync.fields import Undecodable, content_of, event_id_of, sender_of, sent_at_ms_of
from matrix.sync.membership import member_changed

_FILE_TYPES = frozenset({"m.file", "m.image", "m.audio", "m.video"})

# The fields that decryption needs; all others are dropped.
_MEGOLM_FIELDS = ("algorithm", "ciphertext", "sender_key", "session_id", "device_id")

_REPLY_FALLBACK = re.compile(r"\A> (?:\* )?<@[^>\n]*>[^\n]*(?:\n>[^\n]*)*\n{0,2}")


def decode_event(event: object, room_id: RoomId, bot: UserId) -> MatrixEvent | None:
    """Return the decoded event, `None` for an event that the bot never reacts to (contract D5).

    Raises:
        Undecodable: it is malformed.
    """
    if type(event) is not dict:
        raise Undecodable("the event is not an object")
    kind = event.get("type")
    sender = event.get("sender")
    if kind == "m.room.message":
        if "state_key" in event:
            return None
        return _question(event, room_id) if sender == bot else _message(event, room_id, bot)
    if kind == "m.room.encrypted":
        # nio would take an encrypted state event for state (fact 10).
        if sender == bot or "state_key" in event:
            return None
        return _encrypted(event, room_id)
    if kind == "m.room.member":
        return member_changed(event, room_id, bot)
    if kind == "m.room.encryption" and event.get("state_key") == "":
        event_id = event.get("event_id")
        return EncryptionEnabled(room_id, EventId(event_id) if is_id(event_id, "$") else None)
    if type(kind) is not str:
        raise Undecodable("the event has no type")
    return None


def malformed_message(event: object, room_id: RoomId, bot: UserId) -> MalformedArrived | None:
    """Return the id and sender of a message that is `Undecodable`, so that the sender can be answered; else `None`."""
    if type(event) is not dict or event.get("type") != "m.room.message" or "state_key" in event:
        return None
    event_id, sender = event.get("event_id"), event.get("sender")
    if sender == bot or not is_id(event_id, "$") or not is_id(sender, "@"):
        return None
    return MalformedArrived(room_id, EventId(event_id), UserId(sender))


class _Relation(Struct, frozen=True):
    """The relation of a message to others: an edit, a part of a thread, a rich reply."""

    is_edit: bool = False
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
    target = relation.get("event_id")
    root = EventId(target) if kind == "m.thread" and is_id(target, "$") else None
    reply = relation.get("m.in_reply_to")
    if type(reply) is not dict:
        return _Relation(kind == "m.replace", root)
    # In a thread, `m.in_reply_to` may be only a fallback for clients without threads.
    falls_back = kind == "m.thread" and relation.get("is_falling_back") is True
    event_id = reply.get("event_id")
    replies_to = EventId(event_id) if is_id(event_id, "$") and not falls_back else None
    return _Relation(kind == "m.replace", root, True, replies_to)


def _mentions(content: dict[str, Any], bot: UserId) -> bool:
    """Whether a message mentions the bot explicitly (`m.mentions`); its text is not searched for names."""
    mentioned = as_dict(content.get("m.mentions")).get("user_ids")
    return type(mentioned) is list and bot in mentioned


def _is_redacted(event: dict[str, Any]) -> bool:
    return "redacted_because" in as_dict(event.get("unsigned"))


def _message(event: dict[str, Any], room_id: RoomId, bot: UserId) -> MatrixEvent | None:
    event_id = event_id_of(event)
    sender = sender_of(event)
    content = content_of(event)
    if _is_redacted(event):
        return None
    relation = _relation(content)
    if relation.is_edit:
        return None
    msgtype = content.get("msgtype")
    if type(msgtype) is not str:
        raise Undecodable("the message has no msgtype")
    if msgtype == "m.text":
        body = content.get("body")
        if type(body) is not str:
            raise Undecodable("the message's body is not text")
        body = clean_text(body)
        if relation.is_reply and body[:1] == ">":
            body = _REPLY_FALLBACK.sub("", body)
        return MessageArrived(
            room_id,
            event_id,
            sender,
            body,
            sent_at_ms_of(event),
            relation.thread_root,
            replies_to=relation.replies_to,
            addressed=_mentions(content, bot),
        )
    if msgtype in _FILE_TYPES:
        name = content.get("filename")
        if type(name) is not str or not name:
            name = content.get("body")
        if type(name) is not str:
            raise Undecodable("the file has no name")
        name = clean_text(name)
        return FileArrived(
            room_id,
            event_id,
            sender,
            name,
            sent_at_ms_of(event),
            relation.thread_root,
            relation.replies_to,
            _mentions(content, bot),
        )
    return None


def _question(event: dict[str, Any], room_id: RoomId) -> QuestionShown | None:
    """Return that an own message shows an agent's question (contract K8), `None` for any other own message."""
    question = as_dict(event.get("content")).get(QUESTION_KEY)
    event_id = event.get("event_id")
    if not is_id(question, "$") or not is_id(event_id, "$") or _is_redacted(event):
        return None
    return QuestionShown(room_id, EventId(event_id), EventId(question))


def _encrypted(event: dict[str, Any], room_id: RoomId) -> MatrixEvent | None:
    event_id = event_id_of(event)
    sender = sender_of(event)
    content = content_of(event)
    if _is_redacted(event):
        return None
    relation = _relation(content)
    if relation.is_edit:
        return None
    kept: dict[str, Any] = {}
    for field in _MEGOLM_FIELDS:
        value = content.get(field)
        if type(value) is str and is_unicode(value):
            kept[field] = value
    if "algorithm" not in kept or "ciphertext" not in kept:
        raise Undecodable("the encrypted event has no algorithm or ciphertext")
    if relation.thread_root is not None:
        kept["m.relates_to"] = {"rel_type": "m.thread", "event_id": relation.thread_root}
    return EncryptedArrived(room_id, event_id, sender, kept, sent_at_ms_of(event))

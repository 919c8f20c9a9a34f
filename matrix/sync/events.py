"""One raw timeline event to one fact, or to the reason why it is none.

Every check is done here, by hand, on what is used and nothing else: a schema validator costs twenty times
as much (fact 2), and what a user can write into an event must never raise (facts 1 and 10, contract D9).
"""

import re
from collections.abc import Iterable
from typing import Any, Final, TypeGuard, get_args

from msgspec import Struct

from machines.facts import (
    BotRemoved,
    EncryptedArrived,
    EncryptionEnabled,
    Fact,
    FileArrived,
    MalformedArrived,
    MemberChanged,
    Membership,
    MessageArrived,
    QuestionShown,
)
from machines.ids import EventId, RoomId, UserId
from matrix.http.cleaning import clean_text

QUESTION_KEY = "org.lambda.surfaces.question"
"""In the bot's own event: the message whose answer asked what this event shows (contract K8)."""
MAX_ID_LENGTH = 255
_MAX_TIME_MS = 2**53
_MEMBERSHIPS: Final = frozenset(get_args(Membership))
_FILE_TYPES = frozenset({"m.file", "m.image", "m.audio", "m.video"})

# The fields that decryption needs; whatever else a sender put beside them is not kept.
_MEGOLM_FIELDS = ("algorithm", "ciphertext", "sender_key", "session_id", "device_id")

_REPLY_FALLBACK = re.compile(r"\A> (?:\* )?<@[^>\n]*>[^\n]*(?:\n>[^\n]*)*\n{0,2}")


class Undecodable(Exception):
    """This event can't be decoded; caught where the rest of its timeline goes on."""


def is_id(value: object, sigil: str) -> TypeGuard[str]:
    """Whether this can be an identifier: right sigil, not too long, and text that can be stored."""
    return (
        type(value) is str
        and value[:1] == sigil
        and 1 < len(value) <= MAX_ID_LENGTH
        and (value.isascii() or _is_unicode(value))
    )


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def own_membership(event: object, bot: UserId) -> dict[str, Any] | None:
    """Return the content of the bot's own membership event, `None` when it is not one."""
    if type(event) is dict and event.get("type") == "m.room.member":
        content = event.get("content")
        if event.get("state_key") == bot and type(content) is dict:
            return content
    return None


def previous_membership(event: dict[str, Any]) -> object:
    """Return the membership that this event replaced, where the server tells."""
    unsigned = event.get("unsigned")
    previous = unsigned.get("prev_content") if type(unsigned) is dict else None
    return previous.get("membership") if type(previous) is dict else None


def last_join_index(events: Iterable[object], bot: UserId, *, was_in: bool) -> int:
    """Return the index of the bot's last join among events that are oldest first, -1 where there is none.

    A changed display name is a join event too. What the membership was before is told by the event (`prev_content`),
    which a server may leave out, or by the bot's membership event before it; `was_in` is whether the bot was in the
    room before all of them.
    """
    arrival, before = -1, "join" if was_in else None
    for index, event in enumerate(events):
        content = own_membership(event, bot)
        if content is None:
            continue
        assert isinstance(event, dict)
        membership = content.get("membership")
        if membership == "join" and (previous_membership(event) or before) != "join":
            arrival = index
        before = membership
    return arrival


def decode_event(event: object, room_id: RoomId, bot: UserId) -> Fact | None:
    """Return what a timeline event tells, `None` for what is never acted on (contract D5).

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
        # An encrypted state event would be taken for state by nio (fact 10).
        if sender == bot or "state_key" in event:
            return None
        return _encrypted(event, room_id)
    if kind == "m.room.member":
        return _member(event, room_id, bot)
    if kind == "m.room.encryption" and event.get("state_key") == "":
        event_id = event.get("event_id")
        return EncryptionEnabled(room_id, EventId(event_id) if is_id(event_id, "$") else None)
    if type(kind) is not str:
        raise Undecodable("the event has no type")
    return None


def malformed_message(event: object, room_id: RoomId, bot: UserId) -> MalformedArrived | None:
    """Return what is left of a message that is `Undecodable`, where it is known whom to tell so."""
    if type(event) is not dict or event.get("type") != "m.room.message" or "state_key" in event:
        return None
    event_id, sender = event.get("event_id"), event.get("sender")
    if sender == bot or not is_id(event_id, "$") or not is_id(sender, "@"):
        return None
    return MalformedArrived(room_id, EventId(event_id), UserId(sender))


def _event_id(event: dict[str, Any]) -> EventId:
    event_id = event.get("event_id")
    if not is_id(event_id, "$"):
        raise Undecodable("the event has no valid event_id")
    return EventId(event_id)


def _sender(event: dict[str, Any]) -> UserId:
    sender = event.get("sender")
    if not is_id(sender, "@"):
        raise Undecodable("the event has no valid sender")
    return UserId(sender)


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


class _Relation(Struct, frozen=True):
    """What a message is to others: an edit, a part of a thread, a rich reply."""

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
    # In a thread it may only be there for clients that know no threads.
    falls_back = kind == "m.thread" and relation.get("is_falling_back") is True
    event_id = reply.get("event_id")
    replies_to = EventId(event_id) if is_id(event_id, "$") and not falls_back else None
    return _Relation(kind == "m.replace", root, True, replies_to)


def _mentions(content: dict[str, Any], bot: UserId) -> bool:
    """Whether a message mentions the bot in so many words (`m.mentions`); its text is not searched for names."""
    mentions = content.get("m.mentions")
    mentioned = mentions.get("user_ids") if type(mentions) is dict else None
    return type(mentioned) is list and bot in mentioned


def _is_redacted(event: dict[str, Any]) -> bool:
    unsigned = event.get("unsigned")
    return type(unsigned) is dict and "redacted_because" in unsigned


def _message(event: dict[str, Any], room_id: RoomId, bot: UserId) -> Fact | None:
    event_id = _event_id(event)
    sender = _sender(event)
    content = _content(event)
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
            _sent_at_ms(event),
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
            _sent_at_ms(event),
            relation.thread_root,
            relation.replies_to,
            _mentions(content, bot),
        )
    return None


def _question(event: dict[str, Any], room_id: RoomId) -> QuestionShown | None:
    """Return that an own message shows an agent's question (contract K8); of any other nothing is told."""
    content = event.get("content")
    question = content.get(QUESTION_KEY) if type(content) is dict else None
    event_id = event.get("event_id")
    if not is_id(question, "$") or not is_id(event_id, "$") or _is_redacted(event):
        return None
    return QuestionShown(room_id, EventId(event_id), EventId(question))


def _encrypted(event: dict[str, Any], room_id: RoomId) -> Fact | None:
    event_id = _event_id(event)
    sender = _sender(event)
    content = _content(event)
    if _is_redacted(event):
        return None
    relation = _relation(content)
    if relation.is_edit:
        return None
    kept: dict[str, Any] = {}
    for field in _MEGOLM_FIELDS:
        value = content.get(field)
        if type(value) is str and _is_unicode(value):
            kept[field] = value
    if "algorithm" not in kept or "ciphertext" not in kept:
        raise Undecodable("the encrypted event has no algorithm or ciphertext")
    if relation.thread_root is not None:
        kept["m.relates_to"] = {"rel_type": "m.thread", "event_id": relation.thread_root}
    return EncryptedArrived(room_id, event_id, sender, kept, _sent_at_ms(event))


def _member(event: dict[str, Any], room_id: RoomId, bot: UserId) -> Fact | None:
    if "state_key" not in event:
        return None  # anybody can send such an event; it is nobody's membership
    user_id = event["state_key"]
    if user_id == bot:
        return removal(event, room_id, bot)
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


def removal(event: dict[str, Any], room_id: RoomId, bot: UserId) -> BotRemoved | None:
    """Return who put the bot out of the room and why; `None` when this membership is not that.

    An invitation turned down or taken back puts the bot out of nothing.

    Raises:
        Undecodable: it is malformed.
    """
    content = _content(event)
    membership = content.get("membership")
    if membership not in ("leave", "ban") or previous_membership(event) in ("invite", "knock"):
        return None
    sender = _sender(event)
    said = f"{'banned' if membership == 'ban' else 'kicked'} by {sender}"
    if sender == bot:
        said = "the bot left"
    reason = content.get("reason")
    if type(reason) is str and reason:
        said = f"{said}: {clean_text(reason)[:MAX_ID_LENGTH]}"
    return BotRemoved(room_id, _event_id(event), sender, said)

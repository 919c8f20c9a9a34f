"""Membership events: the bot's own joins and removals, those of others, and how many others are in a room."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from machines.events.matrix import BotRemoved, MemberChanged, Membership
from machines.ids import RoomId, UserId
from matrix.http.cleaning import clean_text
from matrix.raw_events import as_dict, is_id
from matrix.sync.fields import Undecodable, content_of, event_id_of, sender_of

MAX_OTHERS = 1_000_000
"""A larger number of members is counted as this."""

_MAX_REASON_LENGTH = 255
_MEMBERSHIPS: Final = frozenset(get_args(Membership))


def own_membership(event: object, bot: UserId) -> dict[str, Any] | None:
    """Return the content of the bot's own membership event, `None` for any other event."""
    if type(event) is dict and event.get("type") == "m.room.member":
        content = event.get("content")
        if event.get("state_key") == bot and type(content) is dict:
            return content
    return None


def previous_membership(event: dict[str, Any]) -> object:
    """Return the membership that this event replaced, `None` where the server does not include it."""
    return as_dict(as_dict(event.get("unsigned")).get("prev_content")).get("membership")


def last_join_index(events: Iterable[object], bot: UserId, *, was_in: bool) -> int:
    """Return the index of the bot's last join among events that are oldest first, -1 where there is none.

    A changed display name is a join event too. The membership before it is in the event (`prev_content`), which a
    server may leave out, or in the bot's membership event before it; `was_in` says whether the bot was in the room
    before all of them.
    """
    join_index, before = -1, "join" if was_in else None
    for index, event in enumerate(events):
        content = own_membership(event, bot)
        if content is None:
            continue
        assert isinstance(event, dict)
        membership = content.get("membership")
        if membership == "join" and (previous_membership(event) or before) != "join":
            join_index = index
        before = membership
    return join_index


def member_changed(
    event: dict[str, Any], room_id: RoomId, bot: UserId
) -> MemberChanged | BotRemoved | None:
    """Return the change that a membership event makes; of the bot's own, only its removal.

    Raises:
        Undecodable: it is malformed.
    """
    if "state_key" not in event:
        return None  # anybody can send such an event; it is not a membership
    user_id = event["state_key"]
    if user_id == bot:
        return bot_removed(event, room_id, bot)
    if not is_id(user_id, "@"):
        raise Undecodable("the membership's state_key is not a user id")
    membership = content_of(event).get("membership")
    if type(membership) is not str or membership not in _MEMBERSHIPS:
        raise Undecodable("the membership is none of Matrix's")
    return MemberChanged(
        room_id,
        event_id_of(event),
        UserId(user_id),
        membership,  # type: ignore[arg-type]  # one of Membership, just checked
    )


def bot_removed(event: dict[str, Any], room_id: RoomId, bot: UserId) -> BotRemoved | None:
    """Return who removed the bot from the room and why; `None` when this membership is not a removal.

    An invitation that was rejected or withdrawn is not a removal.

    Raises:
        Undecodable: it is malformed.
    """
    content = content_of(event)
    membership = content.get("membership")
    if membership not in ("leave", "ban") or previous_membership(event) in ("invite", "knock"):
        return None
    sender = sender_of(event)
    text = f"{'banned' if membership == 'ban' else 'kicked'} by {sender}"
    if sender == bot:
        text = "the bot left"
    reason = content.get("reason")
    if type(reason) is str and reason:
        text = f"{text}: {clean_text(reason)[:_MAX_REASON_LENGTH]}"
    return BotRemoved(room_id, event_id_of(event), sender, text)


def other_member_count(room: Mapping[str, Any]) -> int | None:
    """Return how many members a sync's room has besides the bot, joined or invited; `None` where it does not say.

    Synapse sends a room summary whenever the number changes.
    """
    summary = as_dict(room.get("summary"))
    joined = summary.get("m.joined_member_count")
    # A count that did not change may be left out; then the sum is unknown.
    invited = summary.get("m.invited_member_count")
    if type(joined) is not int or type(invited) is not int or joined < 1 or invited < 0:
        return None
    return min(joined + invited - 1, MAX_OTHERS)

"""The bot's own memberships among raw events, and the number of other members of a room."""

from collections.abc import Iterable, Mapping
from typing import Any

from machines.ids import UserId
from machines.room.binding import OwnerMembership
from matrix.raw_events import as_dict

MAX_OTHERS = 1_000_000
"""A larger number of members is counted as this."""


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


def owner_membership_of(room: Mapping[str, Any]) -> OwnerMembership | None:
    """Return the membership of the only other member of a sync's room, as its summary shows it.

    `None` where the summary does not say, or where there are several.
    """
    summary = as_dict(room.get("summary"))
    joined, invited = summary.get("m.joined_member_count"), summary.get("m.invited_member_count")
    match (joined, invited):
        case (2, 0):
            return "join"
        case (1, 1):
            return "invite"
        case (1, 0):
            return "leave"
        case _:
            return None


def membership_in_event(event: Mapping[str, Any] | None) -> OwnerMembership:
    """Return the membership that an owner's `m.room.member` event sets; without an event they never were a member."""
    if event is None:
        return "leave"
    membership = as_dict(event.get("content")).get("membership")
    if membership in ("join", "invite"):
        return "join" if membership == "join" else "invite"
    return "declined" if previous_membership(dict(event)) == "invite" else "leave"


def other_member_count(room: Mapping[str, Any]) -> int | None:
    """Return how many members a sync's room has besides the bot, joined or invited; `None` where it is not known.

    Synapse sends a room summary whenever the number changes.
    """
    summary = as_dict(room.get("summary"))
    joined = summary.get("m.joined_member_count")
    # A count that did not change may be left out; then the sum is unknown.
    invited = summary.get("m.invited_member_count")
    if type(joined) is not int or type(invited) is not int or joined < 1 or invited < 0:
        return None
    return min(joined + invited - 1, MAX_OTHERS)

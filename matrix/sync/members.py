"""How many others are in a room, as a sync's room summary says; Synapse sends one whenever that changes."""

from collections.abc import Mapping
from typing import Any


def other_member_count(room: Mapping[str, Any]) -> int | None:
    """Return how many are joined or invited besides the bot, `None` where a sync's room does not say."""
    summary = room.get("summary")
    if type(summary) is not dict:
        return None
    joined = summary.get("m.joined_member_count")
    # A count that did not change may be left out: then their sum is not told.
    invited = summary.get("m.invited_member_count")
    if type(joined) is not int or type(invited) is not int or joined < 1 or invited < 0:
        return None
    return min(joined + invited - 1, MANY)


MANY = 1_000_000
"""More than this is counted as this."""

"""Filters for syncs and history (contract L3).

Filters are passed inline, so that nothing has to be uploaded or stored. They select only the types that are decoded;
the limit of a timeline then counts only these.
"""

import json
import secrets
from typing import Any

from machines.ids import SyncToken, UserId
from matrix.keys import BINDING_TYPE

TIMELINE_LIMIT = 50
_NOTHING = {"not_types": ["*"]}
_MESSAGES = ("m.room.message", "m.room.encrypted", "m.room.member", "m.room.encryption")
_TOPOLOGY = ("m.room.create", "m.room.name", "m.room.encryption", "m.space.child")


def live_filter() -> str:
    """Return the filter of the long poll."""
    return _compact(
        {
            "presence": _NOTHING,
            "account_data": _NOTHING,
            "room": {
                "account_data": _NOTHING,
                "ephemeral": _NOTHING,
                "state": {"types": ["m.room.encryption"], "lazy_load_members": True},
                "timeline": {
                    "types": _MESSAGES,
                    "limit": TIMELINE_LIMIT,
                    "lazy_load_members": True,
                },
            },
        }
    )


def initial_filter(since: SyncToken | None, bot: UserId) -> str:
    """Return the filter of the full-state sync, different at every start.

    Synapse caches a response for two minutes by user, filter and `since`, and would return an outdated one after a
    restart with the database deleted (fact 18). So the filter contains a unique event type, which never occurs.
    """
    timeline: dict[str, Any] = {
        "types": (*_MESSAGES, *_TOPOLOGY),
        "limit": TIMELINE_LIMIT,
        "lazy_load_members": True,
    }
    if since is None:
        # Only one question has to be answered for each room: is its last message already finished (D12)?
        timeline = {"types": ("m.room.message", "m.room.encrypted"), "not_senders": [bot]}
        timeline |= {"limit": 1, "lazy_load_members": True}
    unique_type = f"org.lambda.surfaces.start.{secrets.token_hex(8)}"
    return _compact(
        {
            "presence": {"not_types": ["*", unique_type]},
            "account_data": _NOTHING,
            "room": {
                "account_data": {"types": [BINDING_TYPE, "m.fully_read"]},
                "ephemeral": _NOTHING,
                # The bot's own membership says who invited it; lazy loading always includes it.
                "state": {"types": (*_TOPOLOGY, "m.room.member"), "lazy_load_members": True},
                # State that changed during the timeline may be in either section.
                "timeline": timeline,
            },
        }
    )


def names_filter() -> str:
    """Return the filter of a full sync that lists all rooms and invitations with their names.

    It is different each time, because Synapse would return a cached response (fact 18).
    """
    unique = secrets.token_hex(8)
    names = {"types": ["m.room.name"], "lazy_load_members": True}
    return _compact(
        {
            "presence": {"not_types": ["*", f"org.lambda.surfaces.unique.{unique}"]},
            "account_data": _NOTHING,
            "room": {
                "account_data": _NOTHING,
                "ephemeral": _NOTHING,
                "state": names,
                "timeline": names | {"limit": 1},
            },
        }
    )


def history_filter() -> str:
    """Return the filter for pages of history, with the event types of a timeline (contract D4)."""
    return _compact({"types": _MESSAGES, "lazy_load_members": True})


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))

"""Filters for syncs and history (contract L3).

Filters are passed inline, so that nothing has to be uploaded or stored. They select only the types that are decoded;
the limit of a timeline then counts only these.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from machines.ids import SyncToken, UserId
from matrix.keys import BINDING_TYPE

TIMELINE_LIMIT = 50
_NOTHING = {"not_types": ["*"]}
_ANSWERED = (
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
)
_MESSAGES = (*_ANSWERED, "m.room.redaction", "m.room.member", "m.room.encryption")
_TOPOLOGY = ("m.room.create", "m.room.name", "m.room.encryption", "m.space.child")


def live_filter() -> str:
    """Return the filter of the long poll."""
    return _sync_filter(
        state={"types": ["m.room.encryption"], "lazy_load_members": True},
        timeline={"types": _MESSAGES, "limit": TIMELINE_LIMIT, "lazy_load_members": True},
    )


def initial_filter(since: SyncToken | None, bot: UserId) -> str:
    """Return the filter of the full-state sync.

    A change of state during the timeline may be in either of its two sections.
    """
    timeline: dict[str, Any] = {
        "types": (*_MESSAGES, *_TOPOLOGY),
        "limit": TIMELINE_LIMIT,
        "lazy_load_members": True,
    }
    if since is None:
        # Only one question has to be answered for each room: is its last message already finished (D12)?
        timeline = {"types": _ANSWERED, "not_senders": [bot]}
        timeline |= {"limit": 1, "lazy_load_members": True}
    return _sync_filter(
        # The bot's own membership names who invited it; lazy loading always includes it.
        state={"types": (*_TOPOLOGY, "m.room.member"), "lazy_load_members": True},
        timeline=timeline,
        room_account_data={"types": [BINDING_TYPE, "m.fully_read"]},
        unique=True,
    )


def names_filter() -> str:
    """Return the filter of a full sync that lists all rooms and invitations with their names."""
    names = {"types": ["m.room.name"], "lazy_load_members": True}
    return _sync_filter(state=names, timeline=names | {"limit": 1}, unique=True)


def history_filter() -> str:
    """Return the filter for pages of history, with the event types of a timeline (contract D4)."""
    return _compact({"types": _MESSAGES, "lazy_load_members": True})


def _sync_filter(
    *,
    state: Mapping[str, Any],
    timeline: Mapping[str, Any],
    room_account_data: Mapping[str, Any] = _NOTHING,
    unique: bool = False,
) -> str:
    """Return a sync filter; a `unique` one is different each time.

    Synapse caches a response for two minutes by user, filter and `since`, and would return an outdated one, for example
    after a restart with the database deleted (fact 18). So a unique filter contains an event type that never occurs.
    """
    presence = _NOTHING
    if unique:
        presence = {"not_types": ["*", f"org.lambda.surfaces.unique.{secrets.token_hex(8)}"]}
    room = {
        "account_data": room_account_data,
        "ephemeral": _NOTHING,
        "state": state,
        "timeline": timeline,
    }
    return _compact({"presence": presence, "account_data": _NOTHING, "room": room})


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))

"""What the bot asks the homeserver to leave out of a sync (contract L3).

Filters are passed inline, so that nothing has to be uploaded or kept. Only the types that are decoded are
asked for; a `limited` timeline then counts these alone.
"""

import json
import secrets
from typing import Any

from machines.ids import SyncToken, UserId

BINDING_TYPE = "org.lambda.surfaces.room"

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
    """Return the filter of the one full-state sync, different at every start.

    Synapse keeps an answer for two minutes under user, filter and `since`, and would give an old one
    after a restart with the database deleted (fact 18): so one type in it never occurs.
    """
    timeline: dict[str, Any] = {
        "types": (*_MESSAGES, *_TOPOLOGY),
        "limit": TIMELINE_LIMIT,
        "lazy_load_members": True,
    }
    if since is None:
        # Of thousands of rooms it is only asked whether the last message is one already finished (D12).
        timeline = {"types": ("m.room.message", "m.room.encrypted"), "not_senders": [bot]}
        timeline |= {"limit": 1, "lazy_load_members": True}
    never = f"org.lambda.surfaces.start.{secrets.token_hex(8)}"
    return _compact(
        {
            "presence": {"not_types": ["*", never]},
            "account_data": _NOTHING,
            "room": {
                "account_data": {"types": [BINDING_TYPE, "m.fully_read"]},
                "ephemeral": _NOTHING,
                # Our own membership tells who invited us; lazy loading always includes it.
                "state": {"types": (*_TOPOLOGY, "m.room.member"), "lazy_load_members": True},
                # State that changed within the timeline's span may stand in either of the two.
                "timeline": timeline,
            },
        }
    )


def names_filter() -> str:
    """Return the filter of a full sync that shows which rooms there are, invitations too, and their names.

    It is different each time, because an answer of two minutes ago is no answer (fact 18).
    """
    unique = secrets.token_hex(8)
    names = {"types": ["m.room.name"], "lazy_load_members": True}
    return _compact(
        {
            "presence": {"not_types": ["*", f"org.lambda.surfaces.look.{unique}"]},
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
    """Return the filter for pages of history, which hold what a timeline would (contract D4)."""
    return _compact({"types": _MESSAGES, "lazy_load_members": True})


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))

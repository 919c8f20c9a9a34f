"""Reads the topology of a room from a full-state sync or from the room's raw state (contract C1).

Only raw server state is used, never a client library's room model (fact 10). The user who invited the bot is read from
the bot's own membership event: Synapse includes `prev_sender` and `prev_content` in its `unsigned`, in syncs and in
`/state` alike, so that no history has to be read (contract O6).
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from machines.ids import RoomId, UserId
from machines.room.topology import ObservedChild, ObservedRoom
from matrix.http.cleaning import clean_text
from matrix.keys import BINDING_TYPE, NONCE_KEY
from matrix.raw_events import (
    StateMap,
    as_dict,
    as_user_id,
    is_id,
    section_events,
    state_map,
)
from matrix.sync.membership import (
    other_member_count,
    own_membership,
    owner_membership_of,
    previous_membership,
)


def room_of_sync(room_id: RoomId, room: Mapping[str, Any], bot: UserId) -> ObservedRoom:
    """Read one joined room of a full-state sync; never raises."""
    state = state_map([*section_events(room, "state"), *section_events(room, "timeline")])
    observed = observed_room(room_id, state, binding_of(room), bot, others=other_member_count(room))
    if observed.created_by != bot:
        return observed
    return replace(observed, owner_membership=owner_membership_of(room))


def binding_of(room: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the raw content of the room's binding (contract R4)."""
    for event in section_events(room, "account_data"):
        if type(event) is dict and event.get("type") == BINDING_TYPE:
            content = event.get("content")
            if type(content) is dict and content:
                return content
    return None


def observed_room(
    room_id: RoomId,
    state: StateMap,
    binding: Mapping[str, Any] | None,
    bot: UserId,
    members: tuple[UserId, ...] | None = None,
    others: int | None = None,
) -> ObservedRoom:
    """Build the observed room; a malformed value counts as absent."""
    create = state.get(("m.room.create", ""), {})
    create_content = as_dict(create.get("content"))
    created_at_ms = create.get("origin_server_ts")
    nonce = create_content.get(NONCE_KEY)
    name = as_dict(state.get(("m.room.name", ""), {}).get("content")).get("name")
    is_space = create_content.get("type") == "m.space"
    return ObservedRoom(
        room_id=room_id,
        created_by=as_user_id(create.get("sender")),
        created_at_ms=created_at_ms if type(created_at_ms) is int else 0,
        is_space=is_space,
        nonce=nonce if type(nonce) is str else None,
        invited_by=inviter(state.get(("m.room.member", bot)), bot),
        children=tuple(filter(None, map(child_link, state.values()))) if is_space else (),
        members=members,
        name=clean_text(name) if type(name) is str and name else None,
        encrypted=("m.room.encryption", "") in state,
        binding=binding,
        others=len(members) if members is not None else others,
    )


def inviter(membership: dict[str, Any] | None, bot: UserId) -> UserId | None:
    """Return who sent the invitation before the bot's membership, `None` where the event does not name them."""
    if membership is None or own_membership(membership, bot) is None:
        return None
    if previous_membership(membership) != "invite":
        return None
    return as_user_id(as_dict(membership.get("unsigned")).get("prev_sender"))


def members_of(state: StateMap, bot: UserId) -> tuple[UserId, ...]:
    """Return the other members, joined or invited, of a room's full state."""
    return tuple(
        UserId(key)
        for (kind, key), event in sorted(state.items())
        if kind == "m.room.member"
        and key != bot
        and is_id(key, "@")
        and event["content"].get("membership") in ("join", "invite")
    )


def parents_of(state: StateMap) -> tuple[RoomId, ...]:
    """Return the Spaces that a room names as parents; this alone does not bind it (contract C2)."""
    return tuple(
        RoomId(key)
        for (kind, key), event in sorted(state.items())
        if kind == "m.space.parent" and is_id(key, "!") and event["content"].get("via")
    )


def child_link(event: Mapping[str, Any] | None) -> ObservedChild | None:
    """Return the link that an `m.space.child` event sets, `None` where there is none."""
    if event is None or event.get("type") != "m.space.child":
        return None
    child, sender = event.get("state_key"), as_user_id(event.get("sender"))
    if not is_id(child, "!") or sender is None:
        return None
    via = as_dict(event.get("content")).get("via")
    servers = via if type(via) is list else []
    named = tuple(server for server in servers if type(server) is str)
    return ObservedChild(RoomId(child), sender, named)

"""What a full-state sync, or one room's raw state, shows of the bot's rooms (contract C1).

Raw server state only, never a client library's room model (fact 10); nothing is judged. Who invited the
bot is read from its own membership event: Synapse keeps `prev_sender` and `prev_content` in its
`unsigned`, in syncs and in `/state` alike, so that no history has to be read (contract O6).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from machines.ids import RoomId, UserId
from machines.topology import ObservedChild, ObservedRoom
from matrix.http.cleaning import clean_text
from matrix.sync.events import is_id, own_membership, previous_membership
from matrix.sync.filters import BINDING_TYPE
from matrix.sync.members import other_member_count

NONCE_KEY = "org.lambda.surfaces.nonce"

StateMap = dict[tuple[str, str], dict[str, Any]]


def room_of_sync(room_id: RoomId, room: Mapping[str, Any], bot: UserId) -> ObservedRoom:
    """Read one joined room of a full-state sync; never raises."""
    state = state_map([*_events(room, "state"), *_events(room, "timeline")])
    return observed_room(room_id, state, binding_of(room), bot, others=other_member_count(room))


def binding_of(room: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the raw content of the binding in a sync's room (contract R4)."""
    for event in _events(room, "account_data"):
        if type(event) is dict and event.get("type") == BINDING_TYPE:
            content = event.get("content")
            if type(content) is dict and content:
                return content
    return None


def state_map(events: Iterable[object]) -> StateMap:
    """Index state events by type and key; of several the last one counts."""
    state: StateMap = {}
    for event in events:
        if type(event) is dict:
            kind, key = event.get("type"), event.get("state_key")
            if type(kind) is str and type(key) is str and type(event.get("content")) is dict:
                state[kind, key] = event
    return state


def observed_room(
    room_id: RoomId,
    state: StateMap,
    binding: Mapping[str, Any] | None,
    bot: UserId,
    members: tuple[UserId, ...] | None = None,
    others: int | None = None,
) -> ObservedRoom:
    """Put one room together; what is malformed counts as absent."""
    create = state.get(("m.room.create", ""), {})
    create_content = _dict(create.get("content"))
    created_at_ms = create.get("origin_server_ts")
    nonce = create_content.get(NONCE_KEY)
    name = _dict(state.get(("m.room.name", ""), {}).get("content")).get("name")
    is_space = create_content.get("type") == "m.space"
    return ObservedRoom(
        room_id=room_id,
        created_by=_user(create.get("sender")),
        created_at_ms=created_at_ms if type(created_at_ms) is int else 0,
        is_space=is_space,
        nonce=nonce if type(nonce) is str else None,
        invited_by=inviter(state.get(("m.room.member", bot)), bot),
        children=tuple(_children(state)) if is_space else (),
        members=members,
        name=clean_text(name) if type(name) is str and name else None,
        encrypted=("m.room.encryption", "") in state,
        binding=binding,
        others=len(members) if members is not None else others,
    )


def inviter(membership: dict[str, Any] | None, bot: UserId) -> UserId | None:
    """Return who sent the invitation that the bot's membership followed from, if it says so."""
    if membership is None or own_membership(membership, bot) is None:
        return None
    if previous_membership(membership) != "invite":
        return None
    return _user(_dict(membership.get("unsigned")).get("prev_sender"))


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
    """Return the Spaces that a room claims as parents; a claim adopts nothing (contract C2)."""
    return tuple(
        RoomId(key)
        for (kind, key), event in sorted(state.items())
        if kind == "m.space.parent" and is_id(key, "!") and event["content"].get("via")
    )


def child_link(event: Mapping[str, Any] | None) -> ObservedChild | None:
    """Return the link that an `m.space.child` event sets, `None` where there is none."""
    if event is None or event.get("type") != "m.space.child":
        return None
    child, sender = event.get("state_key"), _user(event.get("sender"))
    if not is_id(child, "!") or sender is None:
        return None
    via = _dict(event.get("content")).get("via")
    servers = via if type(via) is list else []
    named = tuple(server for server in servers if type(server) is str)
    return ObservedChild(RoomId(child), sender, named)


def _children(state: StateMap) -> Iterable[ObservedChild]:
    for event in state.values():
        link = child_link(event)
        if link is not None:
            yield link


def _events(room: Mapping[str, Any], section: str) -> list[object]:
    events = _dict(room.get(section)).get("events")
    return events if type(events) is list else []


def _dict(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _user(value: object) -> UserId | None:
    return UserId(value) if is_id(value, "@") else None

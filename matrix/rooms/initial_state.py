"""The initial state of the bot's rooms, and the completion of a partly created room.

A homeserver that is killed during `createRoom` leaves a room with only its first events. It carries the nonce, so it
is the room of the order (contract O3); its missing state is added here. The user is invited after the creation, by a
request of its own: an invitation by `createRoom` has no reason (contract O1).
"""

from typing import Any

from machines.events.orders import CompleteRoom, CreateRoom
from machines.ids import RoomId, UserId, server_of
from matrix.errors import RequestRefused
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.keys import NONCE_KEY
from matrix.raw_events import StateMap, as_dict, state_map

_Contents = dict[tuple[str, str], dict[str, Any]]
"""Contents of state events by type and state key."""

OWNER_LEVEL = 100

# Since this room version the creator is above all power levels and must not be listed (fact 9).
_CREATORS_ABOVE_LEVELS = 12

# The first room version with the join rule `restricted`.
_RESTRICTED_SINCE = 8

# Only the bot may invite or change state: there are no exceptions for event types, and all others have level 0.
_LEVELS: dict[str, Any] = {
    **dict.fromkeys(("invite", "kick", "ban", "redact", "state_default"), OWNER_LEVEL),
    "users_default": 0,
    "events_default": 0,
    "events": {},
}


def supports_restricted(room_version: object) -> bool:
    """Whether rooms of this version can have the join rule `restricted`; an unknown version counts as too old."""
    if not isinstance(room_version, str) or not room_version.isdecimal():
        return False
    return int(room_version) >= _RESTRICTED_SINCE


def restricted_to(space_id: RoomId) -> dict[str, Any]:
    """Return the content of a join rule that lets the members of a Space join (contract O1)."""
    allow = {"type": "m.room_membership", "room_id": space_id}
    return {"join_rule": "restricted", "allow": [allow]}


def room_body(order: CreateRoom, bot: UserId, room_version: object) -> dict[str, Any]:
    """Return the `createRoom` body: a private room in which only the bot may invite or change state (contract O1).

    `room_version` is the version that the homeserver gives to new rooms. The preset `trusted_private_chat` would give
    the user the same power as the bot. The homeserver sets `users` in the power levels, because it depends on the room
    version.
    """
    creation: dict[str, Any] = {NONCE_KEY: order.nonce}
    if order.space:
        creation["type"] = "m.space"
    state = _initial_state(order, bot)
    if order.parent is not None and supports_restricted(room_version):
        state["m.room.join_rules", ""] = restricted_to(order.parent)
    return {
        "preset": "private_chat",
        "visibility": "private",
        "name": order.name,
        "creation_content": creation,
        "initial_state": [
            {"type": kind, "state_key": key, "content": content}
            for (kind, key), content in state.items()
        ],
        "power_level_content_override": _LEVELS,
    }


def _initial_state(order: CreateRoom, bot: UserId) -> _Contents:
    state: _Contents = {("m.room.guest_access", ""): {"guest_access": "forbidden"}}
    if order.parent is not None:
        state["m.space.parent", order.parent] = {"via": [server_of(bot)], "canonical": True}
    if order.topic:
        state["m.room.topic", ""] = {"topic": order.topic}
    return state


def missing_state(state: StateMap, order: CreateRoom, bot: UserId) -> _Contents:
    """Return the state that a completely created room would have, and this one lacks, in the order to send it."""
    levels = dict(_LEVELS)
    create = state.get(("m.room.create", ""), {}).get("content", {})
    version = create.get("room_version", "1")
    if isinstance(version, str) and version.isdecimal() and int(version) < _CREATORS_ABOVE_LEVELS:
        levels["users"] = {bot: OWNER_LEVEL}
    rule: dict[str, Any] = {"join_rule": "invite"}
    if order.parent is not None and supports_restricted(version):
        rule = restricted_to(order.parent)
    wanted: _Contents = {
        ("m.room.power_levels", ""): levels,
        ("m.room.join_rules", ""): rule,
        ("m.room.history_visibility", ""): {"history_visibility": "shared"},
        **_initial_state(order, bot),
        ("m.room.name", ""): {"name": order.name},
    }
    return {key: content for key, content in wanted.items() if key not in state}


async def finish_room(
    transport: Transport, room_id: RoomId, order: CreateRoom, bot: UserId
) -> None:
    """Add the missing state and invitation to a room found by its nonce; a complete room stays unchanged.

    If the order is repeated, a user who has left the room or declined the invitation since is not invited again.

    Raises:
        RequestRefused: the homeserver refuses it.
    """
    state = await _read_state(transport, room_id)
    for (kind, key), content in missing_state(state, order, bot).items():
        await _set_state(transport, room_id, kind, key, content)
    if not (order.repeated and ("m.room.member", order.invite) in state):
        await ensure_invited(transport, room_id, order.invite, order.reason)


async def complete_room(transport: Transport, order: CompleteRoom) -> None:
    """Replace the join rule `invite` of a chat by `restricted`, and add a missing topic (contract O1).

    Raises:
        RequestRefused: the homeserver refuses it.
    """
    state = await _read_state(transport, order.room_id)
    create = as_dict(state.get(("m.room.create", ""), {}).get("content"))
    rule = as_dict(state.get(("m.room.join_rules", ""), {}).get("content"))
    changed: _Contents = {}
    if rule.get("join_rule") == "invite" and supports_restricted(create.get("room_version")):
        changed["m.room.join_rules", ""] = restricted_to(order.space_id)
    if order.topic and ("m.room.topic", "") not in state:
        changed["m.room.topic", ""] = {"topic": order.topic}
    for (kind, key), content in changed.items():
        await _set_state(transport, order.room_id, kind, key, content)


async def ensure_invited(
    transport: Transport, room_id: RoomId, user_id: UserId, reason: str = ""
) -> None:
    """Invite a user unless they are already joined or invited (contract O2).

    Raises:
        RequestRefused: the homeserver refuses it, for example because they are banned.
    """
    if await _membership(transport, room_id, user_id) not in ("join", "invite"):
        await invite(transport, room_id, user_id, reason)


async def invite(transport: Transport, room_id: RoomId, user_id: UserId, reason: str) -> None:
    """Invite a user, with a reason.

    Raises:
        RequestRefused: the homeserver refuses it, for example because they are banned.
    """
    body = {"user_id": user_id} | ({"reason": reason} if reason else {})
    path = client_path("rooms", room_id, "invite")
    try:
        await transport.request(Request("POST", path, body=body, bucket="invite"))
    except RequestRefused:
        # They may have joined before this request, or this was a retry of it.
        if await _membership(transport, room_id, user_id) not in ("join", "invite"):
            raise


async def _membership(transport: Transport, room_id: RoomId, user_id: UserId) -> object:
    path = ("rooms", room_id, "state", "m.room.member", user_id)
    return as_dict(await transport.get(*path, absent=(404,))).get("membership")


async def _read_state(transport: Transport, room_id: RoomId) -> StateMap:
    events = await transport.get("rooms", room_id, "state")
    return state_map(events if isinstance(events, list) else [])


async def _set_state(
    transport: Transport, room_id: RoomId, kind: str, key: str, content: dict[str, Any]
) -> None:
    path = client_path("rooms", room_id, "state", kind, key)
    await transport.request(Request("PUT", path, body=content, bucket="send"))

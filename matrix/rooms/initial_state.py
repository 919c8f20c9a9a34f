"""The initial state of the bot's rooms, and the completion of a partly created room.

A homeserver that is killed during `createRoom` leaves a room with only its first events. It carries the nonce, so it
is the room of the order (contract O3); its missing state is added here.
"""

from typing import Any

from machines.events.orders import CreateRoom
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

# Only the bot may invite or change state: there are no exceptions for event types, and all others have level 0.
_LEVELS: dict[str, Any] = {
    **dict.fromkeys(("invite", "kick", "ban", "redact", "state_default"), OWNER_LEVEL),
    "users_default": 0,
    "events_default": 0,
    "events": {},
}


def room_body(order: CreateRoom, bot: UserId) -> dict[str, Any]:
    """Return the `createRoom` body: a private room in which only the bot may invite or change state (contract O1).

    The preset `trusted_private_chat` would give the user the same power as the bot. The homeserver sets `users` in the
    power levels, because it depends on the room version.
    """
    creation: dict[str, Any] = {NONCE_KEY: order.nonce}
    if order.space:
        creation["type"] = "m.space"
    return {
        "preset": "private_chat",
        "visibility": "private",
        "name": order.name,
        "invite": [order.invite],
        "creation_content": creation,
        "initial_state": [
            {"type": kind, "state_key": key, "content": content}
            for (kind, key), content in _initial_state(order, bot).items()
        ],
        "power_level_content_override": _LEVELS,
    }


def _initial_state(order: CreateRoom, bot: UserId) -> _Contents:
    state: _Contents = {("m.room.guest_access", ""): {"guest_access": "forbidden"}}
    if order.parent is not None:
        state["m.space.parent", order.parent] = {"via": [server_of(bot)], "canonical": True}
    return state


def missing_state(state: StateMap, order: CreateRoom, bot: UserId) -> _Contents:
    """Return the state that a completely created room would have, and this one lacks, in the order to send it."""
    levels = dict(_LEVELS)
    create = state.get(("m.room.create", ""), {}).get("content", {})
    version = create.get("room_version", "1")
    if isinstance(version, str) and version.isdecimal() and int(version) < _CREATORS_ABOVE_LEVELS:
        levels["users"] = {bot: OWNER_LEVEL}
    wanted: _Contents = {
        ("m.room.power_levels", ""): levels,
        ("m.room.join_rules", ""): {"join_rule": "invite"},
        ("m.room.history_visibility", ""): {"history_visibility": "shared"},
        **_initial_state(order, bot),
        ("m.room.name", ""): {"name": order.name},
    }
    return {key: content for key, content in wanted.items() if key not in state}


async def finish_room(
    transport: Transport, room_id: RoomId, order: CreateRoom, bot: UserId
) -> None:
    """Add the missing state and invitation to a room found by its nonce; a complete room stays unchanged.

    Raises:
        RequestRefused: the homeserver refuses it.
    """
    events = await transport.get("rooms", room_id, "state")
    state = state_map(events if isinstance(events, list) else [])
    for (kind, key), content in missing_state(state, order, bot).items():
        path = client_path("rooms", room_id, "state", kind, key)
        await transport.request(Request("PUT", path, body=content, bucket="send"))
    await ensure_invited(transport, room_id, order.invite)


async def ensure_invited(transport: Transport, room_id: RoomId, user_id: UserId) -> None:
    """Invite a user unless they are already joined or invited (contract O2).

    Raises:
        RequestRefused: the homeserver refuses it, for example because they are banned.
    """
    if await _membership(transport, room_id, user_id) in ("join", "invite"):
        return
    path = client_path("rooms", room_id, "invite")
    try:
        await transport.request(Request("POST", path, body={"user_id": user_id}, bucket="invite"))
    except RequestRefused:
        # They may have joined between the two requests, or this was a retry of the second one.
        if await _membership(transport, room_id, user_id) not in ("join", "invite"):
            raise


async def _membership(transport: Transport, room_id: RoomId, user_id: UserId) -> object:
    path = ("rooms", room_id, "state", "m.room.member", user_id)
    return as_dict(await transport.get(*path, absent=(404,))).get("membership")

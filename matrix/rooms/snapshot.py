"""A snapshot of one room on the homeserver, for `inspect-room --server`; makes read requests only.

Nothing is decided here. Users may have written all values except the binding, which is the bot's own account data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from machines.ids import RoomId, UserId
from matrix.errors import RequestRefused
from matrix.keys import BINDING_TYPE
from matrix.raw_events import StateMap, state_map
from matrix.session.one_shot import OneShotClient
from matrix.sync.topology import observed_room


@dataclass(frozen=True, slots=True)
class ChildLink:
    """The `m.space.child` event for the room in its Space."""

    space_id: RoomId
    sender: UserId
    via: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoteRoomSnapshot:
    """The room as the homeserver shows it to the bot; where it refuses to, `refusal` is the reason.

    `membership` is the bot's own, `owner_membership` that of the room's owner.
    """

    membership: str | None
    refusal: str | None
    created_by: UserId | None = None
    is_space: bool = False
    name: str | None = None
    encrypted: bool = False
    owner_membership: str | None = None
    child_link: ChildLink | None = None
    binding: Mapping[str, Any] | None = None


async def read_snapshot(
    client: OneShotClient, room_id: RoomId, space_id: RoomId | None, owner: UserId | None
) -> RemoteRoomSnapshot:
    """Read a room's state, its binding, and its link in the given Space.

    Raises:
        HomeserverUnreachable: the homeserver does not answer.
    """
    binding = await _binding(client, room_id)
    try:
        state = await _state(client, room_id)
    except RequestRefused as refused:
        return RemoteRoomSnapshot(None, str(refused), binding=binding)
    room = observed_room(room_id, state, binding, client.user_id)
    return RemoteRoomSnapshot(
        membership=_membership(state, client.user_id),
        refusal=None,
        created_by=room.created_by,
        is_space=room.is_space,
        name=room.name,
        encrypted=room.encrypted,
        owner_membership=_membership(state, owner) if owner is not None else None,
        child_link=await _link(client, room_id, space_id) if space_id is not None else None,
        binding=binding,
    )


async def _link(client: OneShotClient, room_id: RoomId, space_id: RoomId) -> ChildLink | None:
    try:
        state = await _state(client, space_id)
    except RequestRefused:
        return None
    space = observed_room(space_id, state, None, client.user_id)
    for child in space.children:
        if child.room_id == room_id:
            return ChildLink(space_id, child.sender, child.via)
    return None


async def _state(client: OneShotClient, room_id: RoomId) -> StateMap:
    events = await client.get("rooms", room_id, "state")
    return state_map(events if isinstance(events, list) else [])


async def _binding(client: OneShotClient, room_id: RoomId) -> Mapping[str, Any] | None:
    path = ("user", client.user_id, "rooms", room_id, "account_data", BINDING_TYPE)
    try:
        content = await client.get(*path)
    except RequestRefused:
        return None
    return content if isinstance(content, dict) and content else None


def _membership(state: StateMap, user_id: UserId) -> str | None:
    membership = state.get(("m.room.member", user_id), {}).get("content", {}).get("membership")
    return membership if isinstance(membership, str) else None

"""Lists the rooms and invitations of the account, and leaves them for good (contract X2).

A room that was left and forgotten stays on the server for its other members.
"""

from dataclasses import dataclass

from machines.ids import RoomId
from matrix.errors import RequestRefused
from matrix.http.cleaning import clean_text
from matrix.raw_events import as_dict, is_id, joined_room_ids, section_events, state_map
from matrix.session.one_shot import OneShotClient
from matrix.sync.filters import names_filter

# A homeserver may need long for an account with thousands of rooms.
_SYNC_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Membership:
    """A room that the account is joined or invited to; `name` is `""` where it has none."""

    room_id: RoomId
    name: str
    invited: bool = False


async def memberships(client: OneShotClient) -> tuple[Membership, ...]:
    """Return the joined rooms and then the open invitations, each sorted by room id; reads only.

    Raises:
        RequestRefused, HomeserverUnreachable: the homeserver refuses to list them, or does not answer.
    """
    joined = joined_room_ids(await client.get("joined_rooms"))
    sync = await client.get(
        "sync",
        query={"timeout": "0", "set_presence": "offline", "filter": names_filter()},
        timeout_s=_SYNC_TIMEOUT_S,
    )
    rooms = as_dict(as_dict(sync).get("rooms"))
    in_sync, invites = as_dict(rooms.get("join")), as_dict(rooms.get("invite"))
    found = [
        Membership(room_id, _name(in_sync.get(room_id), "state", "timeline"))
        for room_id in _room_ids(*(joined or ()), *in_sync)
    ]
    found += [
        Membership(room_id, _name(invites[room_id], "invite_state"), invited=True)
        for room_id in _room_ids(*invites)
    ]
    return tuple(found)


async def leave_and_forget(client: OneShotClient, room_id: RoomId) -> str | None:
    """Leave a room, or reject its invitation, and forget it; returns the reason of a failure.

    Raises:
        HomeserverUnreachable: the homeserver does not answer.
    """
    not_left = await _refusal(client, room_id, "leave")
    not_forgotten = await _refusal(client, room_id, "forget")
    if not_forgotten is None:
        return None  # a room can be forgotten only after leaving it, so the refusal to leave means nothing
    return not_left or f"it was left, but not forgotten: {not_forgotten}"


async def _refusal(client: OneShotClient, room_id: RoomId, action: str) -> str | None:
    try:
        await client.post("rooms", room_id, action, bucket="join")
    except RequestRefused as refused:
        return str(refused)
    return None


def _room_ids(*values: object) -> list[RoomId]:
    return sorted({RoomId(room_id) for room_id in values if is_id(room_id, "!")})


def _name(room: object, *sections: str) -> str:
    events: list[object] = []
    for section in sections:
        events += section_events(as_dict(room), section)
    name = as_dict(state_map(events).get(("m.room.name", ""), {}).get("content")).get("name")
    return clean_text(name) if isinstance(name, str) else ""

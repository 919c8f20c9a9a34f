"""Leaving rooms for good: what the account is in or invited to, and how to be rid of it (contract X2).

A room that was left and forgotten stays on the server for whoever is still in it.
"""

from dataclasses import dataclass
from typing import Any

from machines.ids import RoomId
from matrix.errors import RequestRefused
from matrix.http.cleaning import clean_text
from matrix.raw_events import is_id, state_map
from matrix.session.one_shot import OneShotClient
from matrix.sync.filters import names_filter

# A homeserver may take its time over an account with thousands of rooms.
_SYNC_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Membership:
    """A room that the account is joined to, or is invited to; `name` is `""` where it has none."""

    room_id: RoomId
    name: str
    invited: bool = False


async def memberships(client: OneShotClient) -> tuple[Membership, ...]:
    """Return the joined rooms and then the open invitations, each by room id; reads only.

    Raises:
        RequestRefused, HomeserverUnreachable: the homeserver does not tell.
    """
    answer = await client.get("joined_rooms")
    joined = answer.get("joined_rooms") if isinstance(answer, dict) else None
    rooms = await client.get(
        "sync",
        query={"timeout": "0", "set_presence": "offline", "filter": names_filter()},
        timeout_s=_SYNC_TIMEOUT_S,
    )
    shown = _dict(_dict(rooms).get("rooms"))
    in_sync = _dict(shown.get("join"))
    found = [
        Membership(room_id, _name(in_sync.get(room_id), "state", "timeline"))
        for room_id in _room_ids(*(joined if isinstance(joined, list) else ()), *in_sync)
    ]
    invites = _dict(shown.get("invite"))
    found += [
        Membership(room_id, _name(invites[room_id], "invite_state"), invited=True)
        for room_id in _room_ids(*invites)
    ]
    return tuple(found)


async def leave_and_forget(client: OneShotClient, room_id: RoomId) -> str | None:
    """Leave a room, or turn its invitation down, and forget it; returns why that could not be done.

    Raises:
        HomeserverUnreachable: the homeserver does not answer.
    """
    not_left = await _refusal(client, room_id, "leave")
    not_forgotten = await _refusal(client, room_id, "forget")
    if not_forgotten is None:
        return None  # whatever was said about leaving: a room one is in can't be forgotten
    return not_left or f"it was left, but not forgotten: {not_forgotten}"


async def _refusal(client: OneShotClient, room_id: RoomId, deed: str) -> str | None:
    try:
        await client.post("rooms", room_id, deed, bucket="join")
    except RequestRefused as refused:
        return str(refused)
    return None


def _room_ids(*told: object) -> list[RoomId]:
    return sorted({RoomId(room_id) for room_id in told if is_id(room_id, "!")})


def _name(room: object, *sections: str) -> str:
    events: list[object] = []
    for section in sections:
        more = _dict(_dict(room).get(section)).get("events")
        events += more if isinstance(more, list) else []
    name = _dict(state_map(events).get(("m.room.name", ""), {}).get("content")).get("name")
    return clean_text(name) if isinstance(name, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""What a sync and a page of history show: the end of each timeline, cut where the seed says.

The state that a sync shows is made as Synapse makes it (`synapse/handlers/sync.py`), and as little to be trusted.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.simulation.homeserver import Event, Homeserver, Refusal, Room, State

_STRIPPED = ("m.room.create", "m.room.join_rules", "m.room.name")


def position_of(token: str) -> int:
    """Read a token: `s12` stands behind the event with position 12."""
    if token[:1] != "s" or not token[1:].isdigit():
        raise Refusal(400, "M_INVALID_PARAM")
    return int(token[1:])


def has_news(server: Homeserver, since: int) -> bool:
    """Whether a sync from here would show anything."""
    for room in server.rooms.values():
        if room.events[-1].position > since and ("m.room.member", server.bot) in room.state:
            if room.membership(server.bot) == "join":
                return True
            if room.state["m.room.member", server.bot].position > since:
                return True
    return False


def sync(
    server: Homeserver,
    since: int | None,
    wanted: Mapping[str, Any],
    *,
    full_state: bool,
    limit: int,
    overlap: int,
) -> dict[str, Any]:
    """Return a sync response. `overlap` shows so many known events of each room once more."""
    join: dict[str, Any] = {}
    invite: dict[str, Any] = {}
    leave: dict[str, Any] = {}
    start = since or 0
    for room_id, room in server.rooms.items():
        own = room.state.get(("m.room.member", server.bot))
        if own is None:
            continue
        membership = room.membership(server.bot)
        if membership == "join":
            part = _joined(server, room, start, wanted, full_state or since is None, limit, overlap)
            if part is not None:
                join[room_id] = part
        elif own.position > start and membership == "invite":
            stripped = [room.state[kind, ""] for kind in _STRIPPED if (kind, "") in room.state]
            invite[room_id] = {
                "invite_state": {"events": [event.json() for event in [*stripped, own]]}
            }
        elif own.position > start and since is not None:
            events = [event for event in room.events if start < event.position <= own.position]
            leave[room_id] = {"timeline": {"events": [event.json() for event in events[-limit:]]}}
    return {
        "next_batch": f"s{server.position}",
        "rooms": {"join": join, "invite": invite, "leave": leave},
    }


def _joined(
    server: Homeserver,
    room: Room,
    start: int,
    wanted: Mapping[str, Any],
    whole: bool,
    limit: int,
    overlap: int,
) -> dict[str, Any] | None:
    arrival = room.arrival(server.bot) or 0
    new_here = arrival > start
    room_filter = wanted.get("room", {})
    allowed = [event for event in room.events if _allows(room_filter["timeline"], event)]
    timeline = allowed if new_here else [event for event in allowed if event.position > start]
    if overlap and not new_here:
        known = [event for event in allowed if arrival < event.position <= start]
        timeline = known[-overlap:] + timeline
    limited = len(timeline) > limit
    timeline = timeline[-limit:]
    shown = {event.event_id for event in timeline}
    if server.forks is not None:
        since = None if whole or new_here else start
        state = _state_shown(room, timeline, since, limited, server.forks.chance.random)
    elif whole or new_here:
        state = list(room.state.values())
    else:
        state = [event for event in room.state.values() if limited and event.position > start]
    state = [
        event
        for event in state
        if event.event_id not in shown and _allows(room_filter["state"], event)
    ]
    if not (whole or timeline or state):
        return None
    before = timeline[0].position - 1 if timeline else server.position
    part: dict[str, Any] = {
        "timeline": {
            "events": [event.json() for event in timeline],
            "limited": limited or new_here,
            "prev_batch": f"s{before}",
        },
        "state": {"events": [event.json() for event in state]},
    }
    if whole:
        data = server.account_data.get(room.room_id, {})
        part["account_data"] = {
            "events": [{"type": kind, "content": content} for kind, content in data.items()]
        }
    return part


def _state_shown(
    room: Room,
    timeline: list[Event],
    since: int | None,
    limited: bool,
    chance: Callable[[], float],
) -> list[Event]:
    """Return what Synapse takes for a room's state: after its last event, not the current one (fact 19).

    The state after the first event of the timeline is added. What both have in different versions is shown in one
    of them, whichever it is. In between two syncs it is what differs from the end of the earlier one.
    """
    end = room.events[-1].after
    start = timeline[0].after if timeline else end
    known: State = {}
    if since is not None:
        earlier = [event for event in room.events if event.position <= since]
        if not limited and _is_linear([earlier[-1], *timeline]):
            return []
        known = earlier[-1].after
    shown = {event.event_id for event in timeline}
    found: State = {}
    for key, event in [*start.items(), *end.items()]:
        if event is known.get(key) or event.event_id in shown:
            continue
        if found.setdefault(key, event) is not event and chance() < 0.5:
            found[key] = event
    return list(found.values())


def _is_linear(events: list[Event]) -> bool:
    return all(
        event.follows == (earlier.event_id,) for earlier, event in itertools.pairwise(events)
    )


def messages(
    room: Room,
    start: int,
    stop: int | None,
    wanted: Mapping[str, Any],
    page: int,
    *,
    forward: bool,
) -> dict[str, Any]:
    """Return a page of history; a page may show less than it covers."""
    low, high = (start, stop) if forward else (stop, start)
    between = [
        event
        for event in room.events
        if (low or 0) < event.position and (high is None or event.position <= high)
    ]
    covered = between[:page] if forward else between[::-1][:page]
    chunk = [event.json() for event in covered if _allows(wanted, event)]
    answer: dict[str, Any] = {"start": f"s{start}", "chunk": chunk}
    if len(between) > len(covered):
        last = covered[-1].position
        answer["end"] = f"s{last if forward else last - 1}"
    return answer


def _allows(part: Mapping[str, Any], event: Event) -> bool:
    if "senders" in part and event.sender not in part["senders"]:
        return False
    if "types" in part and not _matches(part["types"], event.type):
        return False
    return not _matches(part.get("not_types", ()), event.type)


def _matches(patterns: Iterable[str], kind: str) -> bool:
    return any(pattern == kind or fnmatchcase(kind, pattern) for pattern in patterns)

"""Sync responses and pages of history, built from JSON that is already written.

The state of a sync is computed as in Synapse (`synapse/handlers/sync.py`), and may be stale where a room
has forked.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.support.memory_homeserver.filters import Filter, allows, allows_type
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.rooms import AccountData, Event, Refused, Room, State

_STRIPPED = ("m.room.create", "m.room.join_rules", "m.room.name", "m.room.encryption")
# The same for every user: encryption keys are not used up, and there is no presence.
_CONSTANT_PARTS = (
    b'"presence":{"events":[]},"to_device":{"events":[]},'
    b'"device_lists":{"changed":[],"left":[]},'
    b'"device_one_time_keys_count":{"signed_curve25519":50},'
    b'"device_unused_fallback_key_types":["signed_curve25519"]'
)


@dataclass(slots=True)
class _News:
    """The new events and account data of one room."""

    events: list[Event] = field(default_factory=list)
    account_data: dict[str, AccountData] = field(default_factory=dict)


@dataclass(slots=True)
class SyncRequest:
    """A request for a sync; with `overlap`, so many known events of each room are shown again."""

    user_id: str
    since: int | None
    wanted: Filter
    full_state: bool = False
    overlap: int = 0

    @property
    def whole(self) -> bool:
        """Whether all rooms are shown with all their state."""
        return self.since is None or self.full_state


def token(position: int) -> str:
    """Write a position of the log as a sync token."""
    return f"s{position}"


def position_of(text: str) -> int:
    """Read a sync token."""
    if text[:1] != "s" or not text[1:].isdigit():
        raise Refused(400, "M_INVALID_PARAM", f"Invalid stream token {text!r}")
    return int(text[1:])


def has_news(server: Homeserver, user_id: str, since: int) -> bool:
    """Whether there are events for a user that a sync without a filter would show."""
    visible = server.rooms_of.get(user_id, {})
    for entry in server.log[since:]:
        if isinstance(entry, Event) and (room := visible.get(entry.room_id)) is not None:
            if room.membership(user_id) == "join":
                return True
            if room.state["m.room.member", user_id].position > since:
                return True
    return False


def empty_sync(position: int) -> bytes:
    """Return the response that moves the token on and shows nothing."""
    return b'{"next_batch":"s%d"}' % position


def sync(server: Homeserver, request: SyncRequest) -> bytes | None:
    """Return the response with the news after `since`; None without news."""
    user_id, since, wanted = request.user_id, request.since, request.wanted
    rooms, account_data = _news(server, request)
    sections: dict[bytes, list[bytes]] = {b"join": [], b"invite": [], b"leave": []}
    for room_id, news in rooms.items():
        room = server.rooms[room_id]
        own = room.state["m.room.member", user_id]
        is_new = since is None or own.position > since
        match room.membership(user_id):
            case "invite":
                if is_new:
                    sections[b"invite"].append(_invited(room, own))
            case _ if not wanted.wants_room(room_id):
                pass
            case "join":
                part = _joined(server, request, room, news, is_new=is_new)
                if part is not None:
                    sections[b"join"].append(part)
            case _:
                if is_new and since is not None:
                    sections[b"leave"].append(_left(room, own, since, wanted.limit))
    account = _allowed_account_data(wanted.account_data, account_data.values())
    if not request.whole and not account and not any(sections.values()):
        return None
    written = b",".join(b'"%b":{%b}' % (name, b",".join(parts)) for name, parts in sections.items())
    return b'{"next_batch":"%b","rooms":{%b},"account_data":%b,%b}' % (
        token(server.position).encode(),
        written,
        _event_list(account),
        _CONSTANT_PARTS,
    )


def messages(
    room: Room,
    start: int,
    stop: int | None,
    wanted: Mapping[str, Any],
    limit: int,
    *,
    forward: bool,
) -> bytes:
    """Return a page of history between two positions; it may show fewer events than it covers."""
    low, high = (start, stop) if forward else (stop, start)
    first = room.count_up_to(low or 0)
    end = len(room.events) if high is None else room.count_up_to(high)
    page = room.events[first : min(end, first + limit)]
    if not forward:
        page = room.events[max(first, end - limit) : end][::-1]
    chunk = b",".join(event.raw_with_room for event in page if allows(wanted, event))
    following = b""
    if end - first > len(page):
        last = page[-1].position - (0 if forward else 1)
        following = b',"end":"%b"' % token(last).encode()
    return b'{"chunk":[%b],"start":"%b"%b}' % (chunk, token(start).encode(), following)


def _news(
    server: Homeserver, request: SyncRequest
) -> tuple[dict[str, _News], dict[str, AccountData]]:
    """Return the rooms to show with their news, and the news of the global account data."""
    user_id = request.user_id
    visible = server.rooms_of.get(user_id, {})
    if request.since is None:
        account_data = server.account_data.get((user_id, ""), {})
        return {room_id: _News(room.events) for room_id, room in visible.items()}, account_data
    rooms: dict[str, _News] = {}
    account = _News()
    if request.full_state or request.overlap:
        rooms = {room_id: _News() for room_id in visible}
    for entry in server.log[request.since :]:
        if isinstance(entry, Event):
            if entry.room_id in visible:
                news = rooms.get(entry.room_id)
                if news is None:
                    news = rooms[entry.room_id] = _News()
                news.events.append(entry)
        elif entry.user_id == user_id and not entry.room_id:
            account.account_data[entry.type] = entry
        elif entry.user_id == user_id and entry.room_id in visible:
            rooms.setdefault(entry.room_id, _News()).account_data[entry.type] = entry
    return rooms, account.account_data


def _joined(
    server: Homeserver, request: SyncRequest, room: Room, news: _News, *, is_new: bool
) -> bytes | None:
    """Return a joined room, with all its state where the user joined or asks for it; None without news."""
    user_id, since, wanted = request.user_id, request.since, request.wanted
    arrival = (room.arrival(user_id) or 0) if is_new or request.overlap else 0
    joined_since = since is not None and arrival > since
    source = room.events if joined_since else news.events
    timeline = [event for event in source if allows(wanted.timeline, event)]
    if request.overlap and since is not None and not joined_since:
        known = room.events[room.count_up_to(arrival) : room.count_up_to(since)]
        allowed = [event for event in known if allows(wanted.timeline, event)]
        timeline = allowed[-request.overlap :] + timeline
    limited = len(timeline) > wanted.limit
    timeline = timeline[max(0, len(timeline) - wanted.limit) :]
    before = timeline[0].position - 1 if timeline else server.position
    known_until = None if request.whole or joined_since else since
    state = [
        event
        for event in _state_shown(server, room, timeline, known_until, limited)
        if allows(wanted.state, event)
    ]
    # Synapse shows all members where the timeline is empty.
    if wanted.lazy_members and timeline:
        concerned = {user_id} | {event.sender for event in timeline}
        state = [e for e in state if e.type != "m.room.member" or e.state_key in concerned]
    entries = news.account_data
    if request.whole:
        entries = server.account_data.get((user_id, room.room_id), {})
    data = _allowed_account_data(wanted.room_account_data, entries.values())
    if not request.whole and not timeline and not state and not data:
        return None
    return (
        b'%b:{"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"},"state":%b,'
        b'"account_data":%b,"ephemeral":{"events":[]},"summary":{},"unread_notifications":{}}'
    ) % (
        _quoted(room.room_id),
        b",".join([event.raw for event in timeline]),
        b"true" if limited or joined_since else b"false",
        token(before).encode(),
        _event_list([event.raw for event in state]),
        _event_list(data),
    )


def _state_shown(
    server: Homeserver, room: Room, timeline: list[Event], since: int | None, limited: bool
) -> Iterable[Event]:
    """Return the state as Synapse shows it: after the room's last event, not the current one (design fact 19).

    The state after the first event of the timeline is added. A key with different events in the two is shown with
    one of them at random. After an earlier sync, only differences from its state are shown.
    """
    last = room.events[-1]
    start = end = room.state_after(last)
    known: State = {}
    if since is not None:
        earlier = room.events[room.count_up_to(since) - 1]
        if not limited and _is_linear([earlier, *timeline]):
            return ()
        known = room.state_after(earlier)
    if timeline:
        start = room.state_after(timeline[0])
    shown = set(timeline)
    found: State = {}
    for state in (end,) if start is end else (start, end):
        for key, event in state.items():
            if event is known.get(key) or event in shown:
                continue
            if found.setdefault(key, event) is not event and server.chance() < 0.5:
                found[key] = event
    return found.values()


def _is_linear(events: list[Event]) -> bool:
    """Whether each event follows the one before it and no other."""
    return all(
        event.index == event.follows == earlier.index + 1 and earlier.follows == earlier.index
        for earlier, event in pairwise(events)
    )


def _invited(room: Room, own: Event) -> bytes:
    stripped = [room.state[kind, ""].raw for kind in _STRIPPED if (kind, "") in room.state]
    return b'%b:{"invite_state":%b}' % (_quoted(room.room_id), _event_list([*stripped, own.raw]))


def _left(room: Room, own: Event, since: int, limit: int) -> bytes:
    events = room.events[room.count_up_to(since) : own.index + 1]
    events = events[max(0, len(events) - limit) :]
    return b'%b:{"timeline":{"events":[%b],"limited":false,"prev_batch":"%b"},"state":%b}' % (
        _quoted(room.room_id),
        b",".join([event.raw for event in events]),
        token(since).encode(),
        _event_list([]),
    )


def _allowed_account_data(part: Mapping[str, Any], entries: Iterable[AccountData]) -> list[bytes]:
    return [entry.raw for entry in entries if allows_type(part, entry.type)]


def _event_list(raw: list[bytes]) -> bytes:
    return b'{"events":[%b]}' % b",".join(raw)


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()

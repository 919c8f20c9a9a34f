"""Sync responses and pages of history, put together from JSON that is already written."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.support.memory_homeserver.forks import Forks
from tests.support.memory_homeserver.world import AccountData, Event, Refused, Room, World

_DEFAULT_LIMIT = 10
_STRIPPED = ("m.room.create", "m.room.join_rules", "m.room.name", "m.room.encryption")
_NO_EVENTS = b'{"events":[]}'
# Nothing here depends on what happened: encryption has its keys, and nobody else is watched.
_CONSTANT_PARTS = (
    b'"presence":{"events":[]},"to_device":{"events":[]},'
    b'"device_lists":{"changed":[],"left":[]},'
    b'"device_one_time_keys_count":{"signed_curve25519":50},'
    b'"device_unused_fallback_key_types":["signed_curve25519"]'
)


class Filter:
    """As much of a sync filter as a bot uses: rooms, event types, lazy members, the timeline's limit."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        room = definition.get("room", {})
        self.rooms: list[str] | None = room.get("rooms")
        self.timeline = room.get("timeline", {})
        self.state = room.get("state", {})
        self.room_account_data = room.get("account_data", {})
        self.account_data = definition.get("account_data", {})
        self.lazy_members = bool(self.state.get("lazy_load_members"))
        self.limit = int(self.timeline.get("limit", _DEFAULT_LIMIT))

    def wants_room(self, room_id: str) -> bool:
        """Whether a room is to be in the response at all (invitations always are)."""
        return self.rooms is None or room_id in self.rooms


@dataclass(slots=True)
class _News:
    """What one room, or the account, has new for one user."""

    events: list[Event] = field(default_factory=list)
    account_data: dict[str, AccountData] = field(default_factory=dict)
    own_membership_changed: bool = False


def token(position: int) -> str:
    """Write a position of the log as a sync token."""
    return f"s{position}"


def position_of(text: str) -> int:
    """Read a sync token."""
    if not text[1:].isdigit() or text[0] != "s":
        raise Refused(400, "M_UNKNOWN", f"Invalid stream token {text!r}")
    return int(text[1:])


def sync(
    world: World, user_id: str, since: int | None, wanted: Filter, full_state: bool = False
) -> bytes | None:
    """Build the response for what came after `since`; None when that is nothing."""
    sections: dict[bytes, list[bytes]] = {b"join": [], b"invite": [], b"leave": []}
    visible = world.rooms_of.get(user_id, {})
    if since is None:
        rooms = {room_id: _News(room.timeline) for room_id, room in visible.items()}
        account = _News(account_data=world.account_data.get((user_id, ""), {}))
    else:
        rooms, account = _news_since(world, user_id, since)
    if full_state:
        rooms = {room_id: _News() for room_id in visible} | rooms
    for room_id, news in rooms.items():
        room = world.rooms[room_id]
        membership = room.membership(user_id)
        if membership == "invite":
            if news.own_membership_changed or since is None:
                sections[b"invite"].append(_invited(room, user_id))
        elif not wanted.wants_room(room_id):
            continue
        elif membership == "join":
            whole = since is None or full_state or news.own_membership_changed
            stored = world.account_data.get((user_id, room_id), {})
            data = stored if since is None or full_state else news.account_data
            part = _joined(
                room, user_id, news, wanted, since=None if whole else since, account_data=data
            )
            if part is not None:
                sections[b"join"].append(part)
        elif news.own_membership_changed:
            sections[b"leave"].append(_left(room, news, wanted))
    fresh_account = _allowed_account_data(wanted.account_data, account.account_data.values())
    if since is not None and not full_state and not fresh_account and not any(sections.values()):
        return None
    written = b",".join(b'"%b":{%b}' % (name, b",".join(parts)) for name, parts in sections.items())
    return b'{"next_batch":"%b","rooms":{%b},"account_data":%b,%b}' % (
        token(len(world.log)).encode(),
        written,
        _event_list(fresh_account),
        _CONSTANT_PARTS,
    )


def messages(
    room: Room, *, start: int, stop: int | None, forward: bool, limit: int
) -> tuple[list[bytes], int | None]:
    """Cut a page of history; return its events and where the next page starts, if there is one."""
    timeline = room.timeline
    here = _index(timeline, start)
    if forward:
        end = len(timeline) if stop is None else _index(timeline, stop)
        page = timeline[here : min(end, here + limit)]
        more = here + limit < end
        following = page[-1].position + 1 if more else None
    else:
        end = 0 if stop is None else _index(timeline, stop)
        page = timeline[max(end, here - limit) : here][::-1]
        more = here - limit > end
        following = page[-1].position if more else None
    return [event.raw_with_room for event in page], following


def _news_since(world: World, user_id: str, since: int) -> tuple[dict[str, _News], _News]:
    rooms: dict[str, _News] = {}
    account = _News()
    visible = world.rooms_of.get(user_id, {})
    for entry in world.log[since:]:
        if isinstance(entry, Event):
            if entry.room_id in visible:
                news = rooms.get(entry.room_id)
                if news is None:
                    news = rooms[entry.room_id] = _News()
                news.events.append(entry)
                if entry.state_key == user_id and entry.type == "m.room.member":
                    news.own_membership_changed = True
        elif entry.user_id == user_id:
            target = rooms.setdefault(entry.room_id, _News()) if entry.room_id else account
            target.account_data[entry.type] = entry
    return rooms, account


def _joined(
    room: Room,
    user_id: str,
    news: _News,
    wanted: Filter,
    *,
    since: int | None,
    account_data: Mapping[str, AccountData],
) -> bytes | None:
    """Write a joined room: with all its state where `since` is None, otherwise what is new."""
    source = room.timeline if news.own_membership_changed else news.events
    timeline = [event for event in source if _allows(wanted.timeline, event.type)]
    limited = len(timeline) > wanted.limit
    if limited:
        timeline = timeline[len(timeline) - wanted.limit :]
    before = timeline[0].position if timeline else room.timeline[-1].position + 1
    shown = {event.event_id for event in timeline}
    state: Iterable[Event] = ()
    if since is None:
        state = room.seen_state()
    elif room.forks is not None and (limited or room.forks.newest >= since):
        state = _changed_beside_forks(room, room.forks, since)
    elif limited:
        # State that changed in the part of the timeline which was left out.
        state = {(e.type, e.state_key): e for e in source if e.state_key is not None}.values()
    state = [e for e in state if e.event_id not in shown and _allows(wanted.state, e.type)]
    # Synapse shows all members after all where the timeline is empty.
    if wanted.lazy_members and timeline:
        heard = {user_id} | {event.sender for event in timeline}
        state = [e for e in state if e.type != "m.room.member" or e.state_key in heard]
    state_raw = [event.raw for event in state]
    data = _allowed_account_data(wanted.room_account_data, account_data.values())
    if not timeline and not state_raw and not data:
        return None
    return (
        b'%b:{"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"},"state":%b,'
        b'"account_data":%b,"ephemeral":{"events":[]},"summary":{},"unread_notifications":{}}'
    ) % (
        _quoted(room.room_id),
        b",".join([event.raw for event in timeline]),
        b"true" if limited else b"false",
        token(before).encode(),
        _event_list(state_raw),
        _event_list(data),
    )


def _changed_beside_forks(room: Room, forks: Forks, since: int) -> Iterable[Event]:
    """Return the state that was set since then, or could not be seen then and can now."""
    missed = [e for position, events in forks.joined if position >= since for e in events]
    return [e for e in room.seen_state() if e.position >= since or e in missed]


def _invited(room: Room, user_id: str) -> bytes:
    stripped = [room.state[kind, ""].raw for kind in _STRIPPED if (kind, "") in room.state]
    stripped.append(room.state["m.room.member", user_id].raw)
    return b'%b:{"invite_state":%b}' % (_quoted(room.room_id), _event_list(stripped))


def _left(room: Room, news: _News, wanted: Filter) -> bytes:
    timeline = news.events[-wanted.limit :] if wanted.limit else []
    return b'%b:{"timeline":{"events":[%b],"limited":false,"prev_batch":"%b"},"state":%b}' % (
        _quoted(room.room_id),
        b",".join([event.raw for event in timeline]),
        token(news.events[0].position).encode(),
        _NO_EVENTS,
    )


def _allowed_account_data(part: Mapping[str, Any], entries: Iterable[AccountData]) -> list[bytes]:
    return [entry.raw for entry in entries if _allows(part, entry.type)]


def _allows(part: Mapping[str, Any], event_type: str) -> bool:
    """Apply the `types` and `not_types` of one part of a filter."""
    if not part:
        return True
    types = part.get("types")
    if types is not None and not any(fnmatchcase(event_type, pattern) for pattern in types):
        return False
    return not any(fnmatchcase(event_type, pattern) for pattern in part.get("not_types", ()))


def _event_list(raw: list[bytes]) -> bytes:
    return b'{"events":[%b]}' % b",".join(raw)


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()


def _index(timeline: list[Event], position: int) -> int:
    return bisect_left(timeline, position, key=lambda event: event.position)

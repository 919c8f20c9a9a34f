"""Rooms, their events, and the log that puts everything in one order.

A position in the log is a stream token: token `n` stands between entry `n - 1` and entry `n`.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.memory_homeserver.forks import Fork, Forks, place

JsonObject = dict[str, Any]

ROOM_VERSION = "12"

_written = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Refused(Exception):
    """A request that the API answers with an error."""

    def __init__(self, status: int, errcode: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.errcode = errcode
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `raw` is its JSON as a sync shows it, written once however often it is served."""

    position: int
    room_id: str
    type: str
    sender: str
    content: Mapping[str, Any]
    event_id: str
    state_key: str | None
    raw: bytes

    @property
    def raw_with_room(self) -> bytes:
        """Its JSON as it is shown outside of a sync, where nothing else says which room it is of."""
        return b'%b,"room_id":"%b"}' % (self.raw[:-1], self.room_id.encode())


@dataclass(frozen=True, slots=True)
class AccountData:
    """One change of a user's account data; `room_id` is "" for the global one."""

    user_id: str
    room_id: str
    type: str
    raw: bytes


@dataclass(slots=True)
class Room:
    """A room: its events in order, and the newest state event of each kind, which is its current state."""

    room_id: str
    timeline: list[Event] = field(default_factory=list)
    state: dict[tuple[str, str], Event] = field(default_factory=dict)
    # Hardly any room has one; the others are not to pay for it.
    forks: Forks | None = None
    fork: Fork | None = None

    def seen_state(self) -> Iterable[Event]:
        """Return the state after the last event, which is what Synapse's syncs take for the room's state."""
        if self.forks is None or not self.forks.unseen:
            return self.state.values()
        seen = {**self.state, **self.forks.unseen}
        return [event for event in seen.values() if event is not None]

    def membership(self, user_id: str) -> str:
        """`join`, `invite`, `leave` or `ban`; `leave` for a stranger too."""
        event = self.state.get(("m.room.member", user_id))
        return "leave" if event is None else str(event.content["membership"])


class World:
    """Everything the homeserver knows."""

    def __init__(self, server_name: str = "localhost") -> None:
        self.server_name = server_name
        self.rooms: dict[str, Room] = {}
        self.log: list[Event | AccountData] = []
        self.account_data: dict[tuple[str, str], dict[str, AccountData]] = {}
        self.display_names: dict[str, str] = {}
        self.filters: list[JsonObject] = []
        # The rooms in which a user is anything but a stranger.
        self.rooms_of: dict[str, dict[str, Room]] = {}
        self._sessions: dict[str, tuple[str, str]] = {}
        self._sent: dict[tuple[str, str], str] = {}
        self._ids = 0
        self._news = asyncio.Event()

    # -- accounts

    def log_in(self, user_id: str, device_id: str | None) -> tuple[str, str]:
        """Open a session and return its access token and device; any password will do."""
        device_id = device_id or f"DEVICE{len(self._sessions):0>4}"
        token = f"token-{len(self._sessions)}-{user_id}"
        self._sessions[token] = (user_id, device_id)
        return token, device_id

    def session(self, token: str) -> tuple[str, str]:
        """Return user and device of an access token."""
        if token not in self._sessions:
            raise Refused(401, "M_UNKNOWN_TOKEN", "Unknown access token")
        return self._sessions[token]

    def set_account_data(self, user_id: str, room_id: str, kind: str, content: JsonObject) -> None:
        """Keep account data of a user, for one room or ("") for all."""
        raw = json.dumps({"type": kind, "content": content}).encode()
        entry = AccountData(user_id, room_id, kind, raw)
        self.account_data.setdefault((user_id, room_id), {})[kind] = entry
        self.log.append(entry)
        self._tell()

    # -- rooms

    def room(self, room_id: str, member: str | None = None) -> Room:
        """Find a room; with `member`, refuse who is not joined to it."""
        room = self.rooms.get(room_id)
        if room is None:
            raise Refused(404, "M_NOT_FOUND", "Unknown room")
        if member is not None and room.membership(member) != "join":
            raise Refused(403, "M_FORBIDDEN", f"{member} is not in room {room_id}")
        return room

    def create_room(self, creator: str, request: Mapping[str, Any]) -> Room:
        """Make a room as `createRoom` does, with its first state events."""
        room = Room(self._new_id("!"))
        self.rooms[room.room_id] = room
        creation = {"room_version": ROOM_VERSION, **request.get("creation_content", {})}
        self.send(room, creator, "m.room.create", creation, "")
        self.set_membership(room, creator, creator, "join")
        power = {"users": {}, "users_default": 0, "state_default": 50, "invite": 0}
        power |= request.get("power_level_content_override", {})
        self.send(room, creator, "m.room.power_levels", power, "")
        public = request.get("preset") == "public_chat"
        rule = {"join_rule": "public" if public else "invite"}
        self.send(room, creator, "m.room.join_rules", rule, "")
        self.send(room, creator, "m.room.history_visibility", {"history_visibility": "shared"}, "")
        for event in request.get("initial_state", []):
            self.send(room, creator, event["type"], event["content"], event.get("state_key", ""))
        for kind in ("name", "topic"):
            if kind in request:
                self.send(room, creator, f"m.room.{kind}", {kind: request[kind]}, "")
        for user_id in request.get("invite", []):
            self.set_membership(room, creator, user_id, "invite")
        return room

    def set_membership(self, room: Room, sender: str, user_id: str, membership: str) -> None:
        """Let `sender` make `user_id` a member, an invited one, or neither; idempotent."""
        if room.membership(user_id) == membership:
            return
        content = {"membership": membership, "displayname": self.display_name(user_id)}
        self.send(room, sender, "m.room.member", content, user_id)

    def forget(self, room: Room, user_id: str) -> None:
        """Take a room that its user has left out of the user's sight."""
        if room.membership(user_id) == "join":
            raise Refused(400, "M_UNKNOWN", f"User {user_id} is in room {room.room_id}")
        self.rooms_of.get(user_id, {}).pop(room.room_id, None)

    def send(
        self,
        room: Room,
        sender: str,
        event_type: str,
        content: Mapping[str, Any],
        state_key: str | None = None,
    ) -> Event:
        """Append one event to a room."""
        event_id = self._new_id("$")
        fields: JsonObject = {
            "type": event_type,
            "sender": sender,
            "event_id": event_id,
            "origin_server_ts": time.time_ns() // 1_000_000,
            "content": content,
        }
        if state_key is not None:
            fields["state_key"] = state_key
            replaced = room.state.get((event_type, state_key))
            if replaced is not None:
                # As in Synapse: from the bot's own membership it is read who invited it.
                fields["unsigned"] = {
                    "prev_content": replaced.content,
                    "prev_sender": replaced.sender,
                    "replaces_state": replaced.event_id,
                }
        raw = _written(fields).encode()
        position = len(self.log)
        event = Event(position, room.room_id, event_type, sender, content, event_id, state_key, raw)
        if room.fork is not None or room.forks is not None:
            place(room, event)
        self.log.append(event)
        room.timeline.append(event)
        if state_key is not None:
            room.state[event_type, state_key] = event
            if event_type == "m.room.member":
                self.rooms_of.setdefault(state_key, {})[room.room_id] = room
        self._tell()
        return event

    def fork(self, room: Room, sender: str) -> None:
        """Let the room's next state event and what `sender` sends next after it be sent at the same time.

        What others send in between stands on the side of the state event.
        """
        room.fork = Fork(sender)

    def send_once(
        self, session: str, path: str, room: Room, sender: str, kind: str, content: JsonObject
    ) -> tuple[str, bool]:
        """Send a message unless this transaction was seen; return its event id and if it is new.

        A transaction is known by the session and the whole path, as in Synapse.
        """
        known = self._sent.get((session, path))
        if known is not None:
            return known, False
        event_id = self.send(room, sender, kind, content).event_id
        self._sent[session, path] = event_id
        return event_id, True

    def display_name(self, user_id: str) -> str:
        """The name a user goes by; the localpart unless another was chosen."""
        return self.display_names.get(user_id) or user_id[1:].partition(":")[0]

    # -- news

    async def wait_for_news(self, position: int) -> None:
        """Return when the log is longer than `position`."""
        while len(self.log) <= position:
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _new_id(self, sigil: str) -> str:
        self._ids += 1
        return f"{sigil}{self._ids:0>43}"  # as long as Synapse's, and cheap

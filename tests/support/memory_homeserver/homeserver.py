"""The homeserver's data: sessions, account data, rooms, and the log that puts all changes in one order.

The sync token `s<n>` stands behind entry `n` of the log. The rules are those of Synapse where a bot can notice a
difference.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.memory_homeserver.rooms import (
    AccountData,
    Event,
    JsonObject,
    PlannedFork,
    Refused,
    Room,
    write_json,
)

ROOM_VERSION = "12"


class Homeserver:
    """The data of the homeserver.

    `listeners` are called after each entry of the log. Where Synapse's answer depends on chance, `chance` decides:
    a number from 0 to 1.
    """

    def __init__(self, server_name: str, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.server_name = server_name
        self.chance = chance
        self.rooms: dict[str, Room] = {}
        self.rooms_of: dict[str, dict[str, Room]] = {}
        """The rooms in which each user has or had a membership, until they forget them."""
        self.log: list[Event | AccountData] = []
        self.account_data: dict[tuple[str, str], dict[str, AccountData]] = {}
        self.display_names: dict[str, str] = {}
        self.filters: list[JsonObject] = []
        self.sessions: dict[str, tuple[str, str]] = {}
        self.listeners: list[Callable[[Event | AccountData], None]] = []
        self._soft_logged_out: set[str] = set()
        self._logins = 0
        self._transactions: dict[tuple[str, str, str], str] = {}

    @property
    def position(self) -> int:
        """The position of the last entry of the log."""
        return len(self.log)

    # -- accounts

    def log_in(self, user_id: str, device_id: str | None) -> tuple[str, str]:
        """Open a session and return its access token and device; the device's earlier token ends, as specified."""
        self._logins += 1
        session = (user_id, device_id or f"DEVICE{self._logins:0>4}")
        for token in [token for token, known in self.sessions.items() if known == session]:
            del self.sessions[token]
        token = f"token-{self._logins}-{user_id}"
        self.sessions[token] = session
        return token, session[1]

    def session(self, token: str) -> tuple[str, str]:
        """Return the user and the device of an access token."""
        session = self.sessions.get(token)
        if session is None:
            soft = token in self._soft_logged_out
            raise Refused(401, "M_UNKNOWN_TOKEN", "Unknown access token", soft_logout=soft)
        return session

    def log_out_softly(self) -> None:
        """End every token, so that a new login with the same device is allowed."""
        self._soft_logged_out.update(self.sessions)
        self.sessions.clear()

    def set_account_data(
        self, user_id: str, room_id: str, kind: str, content: JsonObject, *, quiet: bool = False
    ) -> None:
        """Store account data of a user, for one room or ("") for all; with `quiet` no incremental sync shows it."""
        raw = write_json({"type": kind, "content": content}).encode()
        entry = AccountData(user_id, room_id, kind, content, raw)
        self.account_data.setdefault((user_id, room_id), {})[kind] = entry
        if not quiet:
            self._append(entry)

    def display_name(self, user_id: str) -> str:
        """Return the user's display name; the localpart unless another was chosen."""
        return self.display_names.get(user_id) or user_id[1:].partition(":")[0]

    # -- rooms

    def room(self, room_id: str, member: str | None = None) -> Room:
        """Find a room; with `member`, refuse a user who is not joined to it."""
        room = self.rooms.get(room_id)
        if room is None:
            raise Refused(404, "M_NOT_FOUND", "Unknown room")
        if member is not None and room.membership(member) != "join":
            raise Refused(403, "M_FORBIDDEN", f"{member} is not in room {room_id}")
        return room

    def create_room(
        self, creator: str, request: Mapping[str, Any], events: int | None = None
    ) -> Room:
        """Create a room as `createRoom` does; with `events`, stop after so many of its events."""
        creation = {"room_version": ROOM_VERSION, **request.get("creation_content", {})}
        power = {"users": {}, "users_default": 0, "state_default": 50, "invite": 0}
        power |= request.get("power_level_content_override", {})
        rule = "public" if request.get("preset") == "public_chat" else "invite"
        initial = request.get("initial_state", ())
        given = {event["type"] for event in initial}
        first: list[tuple[str, str, Mapping[str, Any]]] = [
            ("m.room.create", "", creation),
            ("m.room.member", creator, self._member(creator, "join")),
            ("m.room.power_levels", "", power),
            *(
                [("m.room.join_rules", "", {"join_rule": rule})]
                if "m.room.join_rules" not in given
                else []
            ),
            ("m.room.history_visibility", "", {"history_visibility": "shared"}),
            *((event["type"], event.get("state_key", ""), event["content"]) for event in initial),
            *(
                (f"m.room.{name}", "", {name: request[name]})
                for name in ("name", "topic")
                if name in request
            ),
            *(
                ("m.room.member", user_id, self._member(user_id, "invite"))
                for user_id in request.get("invite", ())
            ),
        ]
        room = Room(self.new_id("!", len(self.rooms) + 1))
        self.rooms[room.room_id] = room
        for kind, key, content in first[:events]:
            self.send(room, creator, kind, content, key)
        room.created_with = len(room.events)
        return room

    def set_membership(
        self, room: Room, sender: str, user_id: str, membership: str, reason: str | None = None
    ) -> None:
        """Change a membership; the same one again changes nothing."""
        if room.membership(user_id) != membership:
            content = self._member(user_id, membership)
            if reason is not None:
                content["reason"] = reason
            self.send(room, sender, "m.room.member", content, user_id)

    def may_join(self, room: Room, user_id: str) -> bool:
        """Whether the join rule lets a user in without an invitation."""
        rule = room.state["m.room.join_rules", ""].content
        if rule["join_rule"] == "restricted":
            allowed = [self.rooms.get(each.get("room_id", "")) for each in rule["allow"]]
            return any(each is not None and each.membership(user_id) == "join" for each in allowed)
        return bool(rule["join_rule"] == "public")

    def forget(self, room: Room, user_id: str) -> None:
        """Hide a room from a user who has left it."""
        if room.membership(user_id) == "join":
            raise Refused(400, "M_UNKNOWN", f"User {user_id} is in room {room.room_id}")
        self.rooms_of.get(user_id, {}).pop(room.room_id, None)

    def send(
        self,
        room: Room,
        sender: str,
        kind: str,
        content: Mapping[str, Any],
        state_key: str | None = None,
        *,
        at_once: bool = False,
    ) -> Event:
        """Append an event and return it; state that the sender has set already is not set again.

        `at_once` asks for an event at the same time as the last one; `concurrent_with` decides.
        """
        known = None if state_key is None else room.state.get((kind, state_key))
        if known is not None and (known.sender, known.content) == (sender, content):
            return known
        position, index = len(self.log) + 1, len(room.events)
        event = Event(
            position=position,
            index=index,
            room_id=room.room_id,
            type=kind,
            sender=sender,
            content=content,
            event_id=self.new_id("$", position),
            state_key=state_key,
            sent_at_ms=self.now_ms(),
            follows=index,
        )
        other = self.concurrent_with(room, event, at_once=at_once)
        if other is not None:
            event.follows = other.follows
        if state_key is not None:
            event.replaced = room.state_of_first(event.follows).get((kind, state_key))
        event.write()
        room.append(event)
        if kind == "m.room.member" and state_key is not None:
            self.rooms_of.setdefault(state_key, {})[room.room_id] = room
        self._append(event)
        return event

    def send_once(
        self,
        session: tuple[str, str],
        path: str,
        room_id: str,
        kind: str,
        content: Mapping[str, Any],
    ) -> str:
        """Send a message unless this transaction was seen; return its event id.

        A transaction is known by the device and the whole path, as in Synapse (fact 7), also outside of the room.
        """
        known = self._transactions.get((*session, path))
        if known is not None:
            return known
        room = self.room(room_id, session[0])
        event_id = self.send(room, session[0], kind, content).event_id
        self._transactions[(*session, path)] = event_id
        if kind == "m.room.redaction":
            self._remove_content(room, content["redacts"])
        return event_id

    def redact(self, room: Room, sender: str, event_id: str) -> Event:
        """Remove the content of an event, and return the redaction."""
        redaction = self.send(room, sender, "m.room.redaction", {"redacts": event_id})
        self._remove_content(room, event_id)
        return redaction

    def _remove_content(self, room: Room, event_id: str) -> None:
        for event in room.events:
            if event.event_id == event_id:
                event.redacted = True
                event.write()

    # -- what an adapter may replace

    def new_id(self, sigil: str, number: int) -> str:
        """Make the id of an event (`$`) or a room (`!`), as long as Synapse's."""
        return f"{sigil}{number:0>43}"

    def now_ms(self) -> int:
        """Return the time of a new event, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def concurrent_with(self, room: Room, event: Event, *, at_once: bool) -> Event | None:
        """Return the event at whose time a new one is sent; None for an event that follows all others.

        Carries out `fork`. Events of others between the two follow the state event.
        """
        fork = room.planned_fork
        if fork is None:
            return None
        if fork.state_event is None:
            if event.state_key is not None:
                fork.state_event = event
        elif event.sender == fork.sender:
            room.planned_fork = None
            return fork.state_event
        return None

    def fork(self, room: Room, sender: str) -> None:
        """Let the room's next state event, and what `sender` sends next after it, be sent at the same time."""
        room.planned_fork = PlannedFork(sender)

    def _member(self, user_id: str, membership: str) -> JsonObject:
        return {"membership": membership, "displayname": self.display_name(user_id)}

    def _append(self, entry: Event | AccountData) -> None:
        self.log.append(entry)
        for listener in self.listeners:
            listener(entry)

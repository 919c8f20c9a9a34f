"""The homeserver's memory: rooms, events in one order, memberships, account data, transactions, sessions.

As Synapse behaves where the bot can tell the difference; `api` puts requests to it, people act on it directly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.forks import Forks, can_be_siblings
from tests.simulation.kernel import Kernel, Violation

Content = Mapping[str, Any]
State = dict[tuple[str, str], "Event"]
"""The state events of a room at one place, by type and key; never changed, only replaced."""
ANSWERS = "org.lambda.surfaces.answers"
PART = "org.lambda.surfaces.part"
PARTIAL = "org.lambda.surfaces.partial"
NONCE = "org.lambda.surfaces.nonce"


class Refusal(Exception):
    """The homeserver answers with an error."""

    def __init__(self, status: int, errcode: str, **more: Any) -> None:
        super().__init__(errcode)
        self.status = status
        self.body = {"errcode": errcode, "error": "no", **more}


@dataclass(slots=True)
class Event:
    """One event; `position` is its place in the order of all events.

    `follows` are the ids of the events before it, of which a room with forks has several. `before` and `after` are
    the state that it was made on and, with it, the state at its end of the room.
    """

    position: int
    room_id: str
    event_id: str
    type: str
    sender: str
    content: Content
    state_key: str | None
    sent_at_ms: int
    follows: tuple[str, ...]
    before: State = field(repr=False)
    after: State = field(repr=False)
    unsigned: dict[str, Any] = field(default_factory=dict)
    redacted: bool = False

    def json(self) -> dict[str, Any]:
        """Return the event as clients see it."""
        event: dict[str, Any] = {
            "event_id": self.event_id,
            "type": self.type,
            "sender": self.sender,
            "origin_server_ts": self.sent_at_ms,
            "content": {} if self.redacted else self.content,
        }
        if self.state_key is not None:
            event["state_key"] = self.state_key
        if self.unsigned:
            event["unsigned"] = self.unsigned
        return event


@dataclass(slots=True)
class Room:
    """One room: its events in order, its current state, and its ends, which nothing follows yet.

    `made_with` are the events that it was made with, one after the other; until then it is not `made`.
    """

    room_id: str
    events: list[Event] = field(default_factory=list)
    state: State = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    made: bool = False
    made_with: frozenset[str] = frozenset()

    def membership(self, user_id: str) -> str:
        """Return a user's membership; `leave` of a stranger too."""
        event = self.state.get(("m.room.member", user_id))
        return "leave" if event is None else str(event.content["membership"])

    def arrival(self, user_id: str) -> int | None:
        """Return where the user last came in."""
        for event in reversed(self.events):
            if event.type == "m.room.member" and event.state_key == user_id:
                before = event.unsigned.get("prev_content", {}).get("membership")
                if event.content["membership"] == "join" and before != "join":
                    return event.position
        return None

    @property
    def creator(self) -> str:
        """Return who made the room."""
        return self.events[0].sender

    @property
    def nonce(self) -> str | None:
        """Return the nonce that the bot's rooms carry."""
        value = self.events[0].content.get(NONCE)
        return str(value) if value is not None else None

    @property
    def is_encrypted(self) -> bool:
        """Whether nothing may be written here in plaintext any more."""
        return ("m.room.encryption", "") in self.state

    @property
    def is_space(self) -> bool:
        """Whether this is a Space."""
        return self.events[0].content.get("type") == "m.space"


class Homeserver:
    """All that the homeserver knows. `news` are called after each event; without `forks` no room has any."""

    def __init__(self, kernel: Kernel, bot: str, forks: Forks | None = None) -> None:
        self.kernel = kernel
        self.bot = bot
        self.forks = forks
        self.rooms: dict[str, Room] = {}
        self.position = 0
        self.account_data: dict[str, dict[str, Content]] = {}
        self.tokens: dict[str, str] = {}
        self.softly_ended: set[str] = set()
        self.devices: list[str] = []
        self.news: list[Any] = []
        self._sent: dict[tuple[str, str, str], str] = {}

    # -- sessions ----------------------------------------------------------------------------------

    def log_in(self, device_id: str) -> str:
        """Open a session; a device's earlier token ends."""
        if device_id not in self.devices:
            self.devices.append(device_id)
        for token in [each for each, device in self.tokens.items() if device == device_id]:
            del self.tokens[token]
        token = f"token{len(self.devices)}-{self.kernel.chance.randrange(10**9)}"
        self.tokens[token] = device_id
        return token

    def device(self, token: str | None) -> str:
        """Return the device of a token."""
        if token is None or token not in self.tokens:
            soft = token in self.softly_ended
            raise Refusal(401, "M_UNKNOWN_TOKEN", soft_logout=soft)
        return self.tokens[token]

    def log_out_softly(self) -> None:
        """End every token, so that a new login with the same device is allowed."""
        self.softly_ended.update(self.tokens)
        self.tokens.clear()

    # -- rooms -------------------------------------------------------------------------------------

    def room(self, room_id: str, member: str | None = None) -> Room:
        """Find a room; with `member`, refuse who is not in it."""
        room = self.rooms.get(room_id)
        if room is None:
            raise Refusal(404, "M_NOT_FOUND")
        if member is not None and room.membership(member) != "join":
            raise Refusal(403, "M_FORBIDDEN")
        return room

    def create_room(
        self, creator: str, request: Mapping[str, Any], events: int | None = None
    ) -> Room:
        """Make a room as `createRoom` does; with `events`, be killed after so many."""
        room = Room(f"!{len(self.rooms) + 1:0>4}r")
        creation = {"room_version": "12", **request.get("creation_content", {})}
        made: list[tuple[str, str, Content]] = [
            ("m.room.create", "", creation),
            ("m.room.member", creator, {"membership": "join"}),
            ("m.room.power_levels", "", request.get("power_level_content_override", {})),
            ("m.room.join_rules", "", {"join_rule": "invite"}),
            ("m.room.history_visibility", "", {"history_visibility": "shared"}),
        ]
        made += [
            (str(each["type"]), str(each.get("state_key", "")), each["content"])
            for each in request.get("initial_state", ())
        ]
        if "name" in request:
            made.append(("m.room.name", "", {"name": request["name"]}))
        made += [
            ("m.room.member", user_id, {"membership": "invite"})
            for user_id in request.get("invite", ())
        ]
        nonce = creation.get(NONCE)
        twins = [each for each in self.rooms.values() if nonce is not None and each.nonce == nonce]
        self.rooms[room.room_id] = room
        for kind, key, content in made[:events]:
            self.send(room, creator, kind, content, key)
        room.made, room.made_with = True, frozenset(event.event_id for event in room.events)
        if twins:
            raise Violation(f"a second room was made for {nonce!r} (contracts O3, K2)")
        return room

    def set_membership(self, room: Room, sender: str, user_id: str, membership: str) -> None:
        """Change a membership; the same one again changes nothing."""
        if room.membership(user_id) != membership:
            self.send(room, sender, "m.room.member", {"membership": membership}, user_id)

    def send(
        self,
        room: Room,
        sender: str,
        kind: str,
        content: Content,
        state_key: str | None = None,
        *,
        at_once: bool = False,
    ) -> Event:
        """Append an event; state that is there already is not set again.

        With `at_once` it comes at the same time as the last event, if it can; otherwise that is drawn.
        """
        known = room.state.get((kind, state_key)) if state_key is not None else None
        if known is not None and known.content == content and known.sender == sender:
            return known
        now_ms = int(self.kernel.now * 1000)
        follows, base, beside = room.ends, room.state, False
        if self.forks is not None:
            beside = at_once and can_be_siblings(
                room, room.events[-1], sender, kind, content, state_key
            )
            if beside or self.forks.splits(room, sender, kind, content, state_key, now_ms):
                beside = True
                follows, base = room.events[-1].follows, room.events[-1].before
        before = base.get((kind, state_key)) if state_key is not None else None
        self.position += 1
        event = Event(
            position=self.position,
            room_id=room.room_id,
            event_id=f"${self.position:0>5}e",
            type=kind,
            sender=sender,
            content=content,
            state_key=state_key,
            sent_at_ms=now_ms,
            follows=follows,
            before=base,
            after=base,
        )
        if before is not None:
            event.unsigned = {
                "replaces_state": before.event_id,
                "prev_content": before.content,
                "prev_sender": before.sender,
            }
        if state_key is not None:
            # Where both sides set the same key, the later one counts; no history depends on which.
            event.after = base | {(kind, state_key): event}
            room.state = room.state | {(kind, state_key): event}
        if beside and self.forks is not None:
            self.forks.made += 1
            self.kernel.note(f"   {event.event_id} {kind} AT ONCE WITH {room.events[-1].event_id}")
        room.ends = (*room.ends, event.event_id) if beside else (event.event_id,)
        room.events.append(event)
        for tell in self.news:
            tell(event)
        return event

    def known(self, device: str, room_id: str, txn_id: str) -> str | None:
        """Return the event that a transaction of this device made before."""
        return self._sent.get((device, room_id, txn_id))

    def send_once(self, device: str, room: Room, txn_id: str, kind: str, content: Content) -> str:
        """Send a message of the bot unless its device sent it before."""
        key = (device, room.room_id, txn_id)
        known = self._sent.get(key)
        if known is None:
            known = self._sent[key] = self.send(room, self.bot, kind, content).event_id
        return known

    def redact_once(self, device: str, room: Room, txn_id: str, event_id: str) -> str:
        """Take back an event of the bot."""
        done = self.send_once(device, room, txn_id, "m.room.redaction", {"redacts": event_id})
        for event in room.events:
            if event.event_id == event_id:
                event.redacted = True
        return done

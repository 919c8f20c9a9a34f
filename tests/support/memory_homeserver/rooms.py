"""Events, account data, and rooms with their history and state.

The history of a room is a chain of events unless two events were sent at the same time: then both follow the
same event, the room forks, and the next event follows both (design fact 19). The current state has the events
of both sides; the state after one side lacks the other. Of two events with the same state key the later counts.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]
State = dict[tuple[str, str], "Event"]
"""State events by type and state key."""

write_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Refused(Exception):
    """A request that the API answers with an error."""

    def __init__(self, status: int, errcode: str, reason: str = "no", **more: Any) -> None:
        super().__init__(reason)
        self.status = status
        self.errcode = errcode
        self.body = {"errcode": errcode, "error": reason, **more}


@dataclass(slots=True, eq=False)
class Event:
    """One event. `position` counts from 1 in the log of the homeserver, `index` from 0 in the room.

    `follows` is the number of the first events of the room that it follows. It is less than `index` where the event
    was sent at the same time as others. `replaced` is the state event with the same key among those that it follows.
    """

    position: int
    index: int
    room_id: str
    type: str
    sender: str
    content: Mapping[str, Any]
    event_id: str
    state_key: str | None
    sent_at_ms: int
    follows: int
    replaced: "Event | None" = None
    raw: bytes = b""
    """The JSON as a sync shows it, written once because it is served often."""
    redacted: bool = False

    @property
    def raw_with_room(self) -> bytes:
        """The JSON as it is shown outside of a sync, with the room id."""
        return b'%b,"room_id":"%b"}' % (self.raw[:-1], self.room_id.encode())

    def write(self) -> None:
        """Write `raw` again."""
        fields: JsonObject = {
            "type": self.type,
            "sender": self.sender,
            "event_id": self.event_id,
            "origin_server_ts": self.sent_at_ms,
            "content": {} if self.redacted else self.content,
        }
        if self.state_key is not None:
            fields["state_key"] = self.state_key
        if self.replaced is not None:
            # As in Synapse; the bot reads from it what its membership was before an invitation.
            fields["unsigned"] = {
                "prev_content": self.replaced.content,
                "prev_sender": self.replaced.sender,
                "replaces_state": self.replaced.event_id,
            }
        if self.redacted:
            fields.setdefault("unsigned", {})["redacted_because"] = {"type": "m.room.redaction"}
        self.raw = write_json(fields).encode()


@dataclass(frozen=True, slots=True)
class AccountData:
    """One change of a user's account data; `room_id` is "" for the global one."""

    user_id: str
    room_id: str
    type: str
    content: Mapping[str, Any]
    raw: bytes


@dataclass(slots=True)
class PlannedFork:
    """The room's next state event, and what `sender` sends next after it, are sent at the same time."""

    sender: str
    state_event: Event | None = None


@dataclass(slots=True, eq=False)
class Room:
    """A room: its events in order and its current state."""

    room_id: str
    events: list[Event] = field(default_factory=list)
    state: State = field(default_factory=dict)
    state_events: list[Event] = field(default_factory=list)
    created_with: int | None = None
    """The number of events of its creation; None while it is being created."""
    planned_fork: PlannedFork | None = None

    def append(self, event: Event) -> None:
        """Add an event at the end."""
        self.events.append(event)
        if event.state_key is not None:
            self.state_events.append(event)
            self.state[event.type, event.state_key] = event

    def membership(self, user_id: str) -> str:
        """Return `join`, `invite`, `leave` or `ban`; `leave` for a user who was never in the room too."""
        event = self.state.get(("m.room.member", user_id))
        return "leave" if event is None else str(event.content["membership"])

    def arrival(self, user_id: str) -> int | None:
        """Return the position at which the user last joined."""
        for event in reversed(self.state_events):
            if event.type == "m.room.member" and event.state_key == user_id:
                before = None if event.replaced is None else event.replaced.content["membership"]
                if event.content["membership"] == "join" and before != "join":
                    return event.position
        return None

    def count_up_to(self, position: int) -> int:
        """Return how many events stand at or before a position of the log."""
        return bisect_right(self.events, position, key=lambda event: event.position)

    def state_of_first(self, count: int) -> State:
        """Return the state after the first `count` events; not to be changed."""
        if not self.state_events or self.state_events[-1].index < count:
            return self.state
        state: State = {}
        for event in self.state_events:
            if event.index >= count:
                break
            state[event.type, event.state_key or ""] = event
        return state

    def state_after(self, event: Event) -> State:
        """Return the state after an event and what it follows; not to be changed."""
        if event.follows == event.index:
            return self.state_of_first(event.index + 1)
        before = self.state_of_first(event.follows)
        if event.state_key is None:
            return before
        return before | {(event.type, event.state_key): event}

    @property
    def creator(self) -> str:
        """The user who created the room."""
        return self.events[0].sender

    @property
    def is_space(self) -> bool:
        """Whether this is a Space."""
        return self.events[0].content.get("type") == "m.space"

    @property
    def is_encrypted(self) -> bool:
        """Whether encryption is on."""
        return ("m.room.encryption", "") in self.state

"""A `SyncBatch` under construction."""

from dataclasses import dataclass, field
from typing import Any, Literal

from machines.events.matrix import Gap, MatrixEvent, Quarantined
from machines.ids import EventId, RoomId, UserId
from matrix.raw_events import is_id

Source = Literal["timeline", "state", "invite", "leave", "to_device", "sync"]


@dataclass(slots=True)
class BatchBuilder:
    """Collects what the decoder finds; `oversized` are the rooms that were left out because they are too large."""

    bot: UserId
    events: list[MatrixEvent] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    oversized: set[RoomId] = field(default_factory=set)

    def quarantine(
        self, source: Source, reason: str, room_id: RoomId | None = None, event: object = None
    ) -> None:
        """Record that a part of the response can't be decoded."""
        event_id = event.get("event_id") if type(event) is dict else None
        known = EventId(event_id) if is_id(event_id, "$") else None
        self.quarantined.append(Quarantined(source, room_id, known, reason))

    def object_in(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        """Return an object of the response, an empty one where it is absent or malformed."""
        value = parent.get(name)
        if value is None:
            return {}
        if type(value) is not dict:
            self.quarantine("sync", f"{name} is not an object")
            return {}
        return value

    def events_in(
        self, parent: dict[str, Any], name: str, source: Source, room_id: RoomId | None
    ) -> list[object]:
        """Return the events in a section, an empty list where it is absent or malformed."""
        section = parent.get(name)
        if section is None:
            return []
        events = section.get("events", []) if type(section) is dict else None
        if type(events) is not list:
            self.quarantine(source, f"{name}.events is not a list", room_id)
            return []
        return events

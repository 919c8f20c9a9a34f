"""Decodes a raw sync response into a `SyncBatch`; a malformed part never affects the others.

A malformed event, room or response part becomes a `Quarantined` with its reason, never an exception (contract D9,
fact 1). The only events dropped here are those that the bot never reacts to (contract D5): own messages, notices,
and anything from before the bot joined.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from typing import Any

from msgspec import Raw

from machines.events.matrix import Gap, Quarantined, SyncBatch
from machines.ids import RoomId, SyncToken, UserId
from matrix.http.parsing import ROOM_BYTES, parse_json
from matrix.raw_events import as_dict, as_user_id, is_id
from matrix.sync.timeline import (
    BatchBuilder,
    JoinedRoom,
    decode_invite,
    decode_joined,
    decode_left,
)

OnRoom = Callable[[RoomId, JoinedRoom], None]
"""Called with each joined room while it is in memory."""

_SECTIONS = ("join", "invite", "leave")
_OVERSIZED = object()  # replaces a room that is too large

TOO_LARGE = f"the homeserver sends more than {ROOM_BYTES} bytes of the room"


class SyncDecoder:
    """Decodes a response whose rooms may come one by one, before the rest of it.

    `joined_before` are the rooms that the bot was in before this sync; `oversized` are those that were left out because
    they are too large. Decoding never raises, unless a room that `parse_sync` left as text is not JSON.
    """

    def __init__(
        self,
        bot: UserId,
        since: SyncToken | None,
        on_room: OnRoom | None = None,
        joined_before: Container[RoomId] = frozenset(),
    ) -> None:
        self._batch = BatchBuilder(bot)
        self._since = since
        self._on_room = on_room
        self._joined_before = joined_before
        self.oversized: set[RoomId] = self._batch.oversized

    def room(self, section: str, room_id: str, text: bytes | None) -> None:
        """Decode one room; without its text it is recorded as oversized."""
        if section in _SECTIONS:
            room = _OVERSIZED if text is None else Raw(text)
            self._decode(section, {section: {room_id: room}})

    def finish(self, response: object) -> SyncBatch:
        """Decode the rest of the response, and return the whole batch.

        Without a `next_batch` the token stays `since`, so that nothing is skipped and the sync is repeated.
        """
        batch = self._batch
        body = as_dict(response)
        token = body.get("next_batch")
        if type(token) is not str or not token:
            batch.quarantine("sync", "the response has no next_batch")
            token = self._since or ""
        rooms = batch.object_in(body, "rooms")
        for section in _SECTIONS:
            self._decode(section, rooms)
        _check_to_device(batch, body)
        return SyncBatch(
            SyncToken(token),
            tuple(batch.events),
            tuple(batch.gaps),
            tuple(batch.quarantined),
            tuple(batch.last_shown),
        )

    def _decode(self, section: str, rooms: dict[str, Any]) -> None:
        batch = self._batch
        for room_id, room in _rooms(batch, rooms, section):
            if section == "join":
                was_in = room_id in self._joined_before
                decode_joined(batch, room_id, room, self._since, was_in=was_in)
                if self._on_room is not None:
                    self._on_room(room_id, room)
            elif section == "invite":
                decode_invite(batch, room_id, room)
            else:
                decode_left(batch, room_id, room)
        if section == "join" and self._since is not None:
            # The messages of an oversized room are read from its history.
            with_gap = {gap.room_id for gap in batch.gaps}
            since = self._since
            batch.gaps += [Gap(room_id, since, since) for room_id in batch.oversized - with_gap]


def _rooms(
    batch: BatchBuilder, rooms: dict[str, Any], section: str
) -> Iterable[tuple[RoomId, dict[str, Any]]]:
    for room_id, raw in batch.object_in(rooms, section).items():
        if not is_id(room_id, "!"):
            batch.quarantine("sync", f"a key of rooms.{section} is not a room id")
            continue
        if raw is _OVERSIZED or (type(raw) is Raw and memoryview(raw).nbytes > ROOM_BYTES):
            batch.quarantine("sync", TOO_LARGE, RoomId(room_id))
            batch.oversized.add(RoomId(room_id))
            continue
        room = parse_json(raw) if type(raw) is Raw else raw
        if type(room) is not dict:
            batch.quarantine("sync", f"rooms.{section} holds no object", RoomId(room_id))
        else:
            yield RoomId(room_id), room


def _check_to_device(batch: BatchBuilder, body: dict[str, Any]) -> None:
    """Quarantine malformed to-device messages, one line for each sender and reason; nothing uses the others."""
    faults: Counter[tuple[UserId | None, str]] = Counter()
    for message in batch.events_in(body, "to_device", "to_device", None):
        parts = as_dict(message)
        sender = as_user_id(parts.get("sender"))
        if type(parts.get("type")) is not str:
            faults[sender, "the to-device message is not an object with a type"] += 1
        elif sender is None:
            faults[sender, "the to-device message has no sender"] += 1
        elif type(parts.get("content")) is not dict:
            faults[sender, "the to-device message has no content"] += 1
    batch.quarantined += [
        Quarantined("to_device", None, None, reason, sender, times)
        for (sender, reason), times in faults.items()
    ]

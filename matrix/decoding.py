"""A raw sync response to a `SyncBatch`: every single event guarded, the rest always goes on.

A malformed event, room or response part becomes a `Quarantined` with its reason, never an exception
(contract D9, fact 1). Nothing is decided here but what contract D5 rules out for ever: own messages,
notices, edits, redactions, and anything from before the bot joined.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Raw

from machines.facts import (
    BotRemoved,
    BotReturned,
    Fact,
    Gap,
    InviteArrived,
    MemberChanged,
    MembersCounted,
    Quarantined,
    SyncBatch,
)
from machines.ids import EventId, RoomId, SyncToken, UserId
from matrix.answered import unanswered
from matrix.events import (
    Undecodable,
    decode_event,
    is_id,
    last_arrival,
    malformed_message,
    own_membership,
    removal,
)
from matrix.members import others_in
from matrix.parsing import ROOM_BYTES, parse_json

JoinedRoom = dict[str, Any]
"""What a sync shows of one joined room."""

Source = Literal["timeline", "state", "invite", "leave", "to_device", "account_data", "sync"]

_SECTIONS = ("join", "invite", "leave")

TOO_LARGE = f"the homeserver tells more than {ROOM_BYTES} bytes of the room"


@dataclass(slots=True)
class _Batch:
    """A batch in the making."""

    bot: UserId
    facts: list[Fact] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    oversized: set[RoomId] = field(default_factory=set)

    def quarantine(
        self, source: Source, reason: str, room_id: RoomId | None = None, event: object = None
    ) -> None:
        event_id = event.get("event_id") if type(event) is dict else None
        known = EventId(event_id) if is_id(event_id, "$") else None
        self.quarantined.append(Quarantined(source, room_id, known, reason))


def decode_sync(
    response: object,
    bot: UserId,
    since: SyncToken | None,
    look: Callable[[RoomId, JoinedRoom], None] | None = None,
    known: Container[RoomId] = frozenset(),
) -> SyncBatch:
    """Decode a sync response; never raises, unless a room that `parse_sync` left as text is no JSON.

    Without a `next_batch` the token stays `since`: nothing is skipped, the homeserver is asked again. `look`
    is shown each joined room while it is there. `known` are the rooms that the bot was in before this sync.
    """
    return SyncDecoder(bot, since, look, known).finish(response)


class _Oversized:
    """Stands for a room of which there was too much."""


class SyncDecoder:
    """Decodes a response whose rooms may come one by one, before the rest of it.

    `oversized` are the rooms that were left out because there is too much of them.
    """

    def __init__(
        self,
        bot: UserId,
        since: SyncToken | None,
        look: Callable[[RoomId, JoinedRoom], None] | None = None,
        known: Container[RoomId] = frozenset(),
    ) -> None:
        self._batch = _Batch(bot)
        self._since = since
        self._look = look
        self._known = known
        self.oversized: set[RoomId] = self._batch.oversized

    def room(self, section: str, room_id: str, text: bytes | None) -> None:
        """Decode one room; without its text it is left out, and that is told."""
        if section in _SECTIONS:
            told = {room_id: _Oversized() if text is None else Raw(text)}
            self._decode(section, {section: told})

    def finish(self, response: object) -> SyncBatch:
        """Decode the rest of the response, and return all of it."""
        batch = self._batch
        body = response if type(response) is dict else {}
        token = body.get("next_batch")
        if type(token) is not str or not token:
            batch.quarantine("sync", "the response has no next_batch")
            token = self._since or ""
        rooms = _part(batch, body, "rooms")
        for section in _SECTIONS:
            self._decode(section, rooms)
        _check_to_device(batch, body)
        return SyncBatch(
            SyncToken(token),
            tuple(batch.facts),
            tuple(batch.gaps),
            tuple(batch.quarantined),
        )

    def _decode(self, section: str, rooms: dict[str, Any]) -> None:
        batch = self._batch
        for room_id, room in _rooms(batch, rooms, section):
            if section == "join":
                was_in = room_id in self._known
                _decode_joined(batch, room_id, room, self._since, was_in=was_in)
                if self._look is not None:
                    self._look(room_id, room)
            elif section == "invite":
                _decode_invite(batch, room_id, room)
            else:
                _decode_left(batch, room_id, room)
        if section == "join" and self._since is not None:
            # What was said there is read from the room's history.
            known = {gap.room_id for gap in batch.gaps}
            since = self._since
            batch.gaps += [Gap(each, since, since) for each in batch.oversized - known]


def decode_page(
    events: Iterable[object], room_id: RoomId, bot: UserId, *, was_in: bool = False
) -> tuple[Fact, ...]:
    """Decode a page of history, oldest first, fenced like a timeline (fact 4)."""
    batch = _Batch(bot)
    _decode_timeline(batch, room_id, list(events), was_in=was_in)
    if any(map(_is_coming, batch.facts)):
        batch.facts.insert(0, MembersCounted(room_id, None))
    return tuple(batch.facts)


def _part(batch: _Batch, parent: dict[str, Any], name: str) -> dict[str, Any]:
    part = parent.get(name)
    if part is None:
        return {}
    if type(part) is not dict:
        batch.quarantine("sync", f"{name} is not an object")
        return {}
    return part


def _rooms(
    batch: _Batch, rooms: dict[str, Any], section: str
) -> Iterable[tuple[RoomId, dict[str, Any]]]:
    for room_id, told in _part(batch, rooms, section).items():
        if not is_id(room_id, "!"):
            batch.quarantine("sync", f"a key of rooms.{section} is not a room id")
            continue
        if type(told) is _Oversized or (type(told) is Raw and memoryview(told).nbytes > ROOM_BYTES):
            batch.quarantine("sync", TOO_LARGE, RoomId(room_id))
            batch.oversized.add(RoomId(room_id))
            continue
        room = parse_json(told) if type(told) is Raw else told
        if type(room) is not dict:
            batch.quarantine("sync", f"rooms.{section} holds no object", RoomId(room_id))
        else:
            yield RoomId(room_id), room


def _events(
    batch: _Batch, parent: dict[str, Any], name: str, source: Source, room_id: RoomId | None
) -> list[object]:
    section = parent.get(name)
    if section is None:
        return []
    events = section.get("events", []) if type(section) is dict else None
    if type(events) is not list:
        batch.quarantine(source, f"{name}.events is not a list", room_id)
        return []
    return events


def _decode_joined(
    batch: _Batch,
    room_id: RoomId,
    room: dict[str, Any],
    since: SyncToken | None,
    *,
    was_in: bool,
) -> None:
    state = _events(batch, room, "state", "state", room_id)
    for event in state:
        if _is_encryption(event):
            _decode_into(batch, room_id, event, "state")
    events = _events(batch, room, "timeline", "timeline", room_id)
    first = len(batch.facts)
    was_in = was_in or _was_in(state, events, batch.bot)
    joined_here = _decode_timeline(batch, room_id, events, was_in=was_in)
    _count_members(batch, room_id, room, first, since)
    timeline = room.get("timeline")
    if since is None or joined_here or type(timeline) is not dict:
        return
    if timeline.get("limited") is True:
        # The journal reads up to the end of the batch, so that nothing is lost where this token is missing.
        before = timeline.get("prev_batch")
        end = SyncToken(before) if type(before) is str and before else since
        batch.gaps.append(Gap(room_id, since, end, was_in))


def _was_in(state: list[object], timeline: list[object], bot: UserId) -> bool:
    """Whether the state before a timeline says that the bot was in the room already."""
    later = [
        event.get("event_id")
        for event in timeline
        if type(event) is dict and own_membership(event, bot) is not None
    ]
    return any(
        content.get("membership") == "join" and event.get("event_id") not in later
        for event in state
        if type(event) is dict and (content := own_membership(event, bot)) is not None
    )


def _count_members(
    batch: _Batch, room_id: RoomId, room: dict[str, Any], first: int, since: SyncToken | None
) -> None:
    """Say before the timeline's facts (from `first` on) how many others are in the room, where that changed.

    Without `since` all rooms are counted; what was counted is then in the topology, and only company is told.
    """
    others = others_in(room)
    if others is None:
        came = any(_is_coming(fact) for fact in batch.facts[first:])
        if came and since is not None:
            batch.facts.insert(first, MembersCounted(room_id, None))
    elif since is not None or others > 1:
        batch.facts.insert(first, MembersCounted(room_id, others))


def _is_coming(fact: Fact) -> bool:
    return isinstance(fact, MemberChanged) and fact.membership in ("join", "invite")


def _decode_timeline(batch: _Batch, room_id: RoomId, events: list[object], *, was_in: bool) -> bool:
    """Decode in order; return whether the bot's own join stands in this timeline.

    What stands before the last join was sent before the bot was there and is dropped (fact 4), except
    that the bot had been put out of the room, and that the room is encrypted. What has its answer in
    the same timeline is shown once more, and dropped too.
    """
    arrival = last_arrival(events, batch.bot, was_in=was_in)
    for event in events[:arrival] if arrival > 0 else ():
        if own_membership(event, batch.bot) is not None or _is_encryption(event):
            _decode_into(batch, room_id, event, "timeline")
    if arrival > 0 and any(
        isinstance(fact, BotRemoved) and fact.room_id == room_id for fact in batch.facts
    ):
        _decode_return(batch, room_id, events[arrival])
    here, first = events[arrival + 1 :], len(batch.facts)
    for event in here:
        _decode_into(batch, room_id, event, "timeline")
    if len(batch.facts) > first:
        batch.facts[first:] = unanswered(batch.facts[first:], here, batch.bot)
    return arrival >= 0


def _decode_return(batch: _Batch, room_id: RoomId, event: object) -> None:
    """Tell that the bot is in again: a room that heard of the removal alone would wait for a message."""
    event_id = event.get("event_id") if type(event) is dict else None
    if is_id(event_id, "$"):
        batch.facts.append(BotReturned(room_id, EventId(event_id)))


def _is_encryption(event: object) -> bool:
    return type(event) is dict and event.get("type") == "m.room.encryption"


def _decode_into(batch: _Batch, room_id: RoomId, event: object, source: Source) -> None:
    try:
        fact = decode_event(event, room_id, batch.bot)
    except Undecodable as reason:
        batch.quarantine(source, str(reason), room_id, event)
        fact = malformed_message(event, room_id, batch.bot)
    if fact is not None:
        batch.facts.append(fact)


def _decode_invite(batch: _Batch, room_id: RoomId, room: dict[str, Any]) -> None:
    inviter: UserId | None = None
    encrypted = False
    for event in _events(batch, room, "invite_state", "invite", room_id):
        if type(event) is not dict:
            continue  # stripped state is hearsay; only the invitation itself is needed
        content = own_membership(event, batch.bot)
        if content is not None and content.get("membership") == "invite":
            sender = event.get("sender")
            inviter = UserId(sender) if is_id(sender, "@") else None
        elif event.get("type") == "m.room.encryption" and event.get("state_key") == "":
            encrypted = True
    if inviter is None:
        batch.quarantine("invite", "the invitation does not say who sent it", room_id)
    else:
        batch.facts.append(InviteArrived(room_id, inviter, encrypted))


def _decode_left(batch: _Batch, room_id: RoomId, room: dict[str, Any]) -> None:
    """Decode a room that the bot is out of; its last messages can't be answered any more."""
    events = _events(batch, room, "state", "leave", room_id)
    events = events + _events(batch, room, "timeline", "leave", room_id)
    for event in reversed(events):
        content = own_membership(event, batch.bot)
        if content is not None and content.get("membership") in ("leave", "ban"):
            assert isinstance(event, dict)
            try:
                fact = removal(event, room_id, batch.bot)
            except Undecodable as reason:
                batch.quarantine("leave", str(reason), room_id, event)
                break
            if fact is not None:
                batch.facts.append(fact)
            return
    gone = "the homeserver says that the bot is not in it"
    batch.facts.append(BotRemoved(room_id, None, None, gone))


def _check_to_device(batch: _Batch, body: dict[str, Any]) -> None:
    """Quarantine malformed to-device messages, one line for each sender and reason; nothing uses the others."""
    faults: Counter[tuple[UserId | None, str]] = Counter()
    for message in _events(batch, body, "to_device", "to_device", None):
        parts = message if type(message) is dict else {}
        sender = UserId(parts["sender"]) if is_id(parts.get("sender"), "@") else None
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

"""Decodes the rooms of a sync and pages of history; each event is decoded independently of the others.

Nothing from before the bot's last join is decoded (fact 4), and no message that has its answer in the same timeline.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    Gap,
    InviteArrived,
    LastMessageShown,
    MatrixEvent,
    MemberChanged,
    MembersCounted,
    Quarantined,
)
from machines.ids import RoomId, SyncToken, UserId
from matrix.keys import ANSWERS_KEY
from matrix.raw_events import as_dict, as_event_id, as_user_id
from matrix.sync.events import (
    Undecodable,
    bot_removed,
    bundled_edit,
    decode_event,
    malformed_message,
)
from matrix.sync.membership import last_join_index, other_member_count, own_membership
from matrix.sync.reply_relations import MESSAGES, last_message, without_answered

JoinedRoom = dict[str, Any]
"""A joined room of a sync response."""

Source = Literal["timeline", "state", "invite", "leave", "to_device", "sync"]


@dataclass(slots=True)
class BatchBuilder:
    """A `SyncBatch` under construction; `oversized` are the rooms that were left out because they are too large."""

    bot: UserId
    events: list[MatrixEvent] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    last_shown: list[LastMessageShown] = field(default_factory=list)
    oversized: set[RoomId] = field(default_factory=set)

    def quarantine(
        self, source: Source, reason: str, room_id: RoomId | None = None, event: object = None
    ) -> None:
        """Record that a part of the response can't be decoded."""
        event_id = as_event_id(as_dict(event).get("event_id"))
        self.quarantined.append(Quarantined(source, room_id, event_id, reason))

    def object_in(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        """Return an object of the response, an empty one where it is absent or malformed."""
        value = parent.get(name)
        if value is not None and type(value) is not dict:
            self.quarantine("sync", f"{name} is not an object")
        return as_dict(value)

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


def decode_page(
    events: Iterable[object], room_id: RoomId, bot: UserId, *, was_in: bool = False
) -> tuple[MatrixEvent, ...]:
    """Decode a page of history, oldest first, by the rules of a timeline."""
    batch = BatchBuilder(bot)
    _decode_timeline(batch, room_id, list(events), was_in=was_in)
    if any(map(_is_arrival, batch.events)):
        batch.events.insert(0, MembersCounted(room_id, None))
    # Without a message before it, nothing depends on it.
    has_message = any(isinstance(event, MESSAGES) for event in batch.events)
    return (*batch.events, *batch.last_shown) if has_message else tuple(batch.events)


def decode_joined(
    batch: BatchBuilder, room_id: RoomId, room: JoinedRoom, since: SyncToken | None, *, was_in: bool
) -> None:
    """Decode a joined room; where its timeline is limited, add a gap."""
    state = batch.events_in(room, "state", "state", room_id)
    for event in state:
        if _is_encryption(event):
            _decode_into(batch, room_id, event, "state")
    events = batch.events_in(room, "timeline", "timeline", room_id)
    first = len(batch.events)
    was_in = was_in or _was_in(state, events, batch.bot)
    has_join = _decode_timeline(batch, room_id, events, was_in=was_in)
    _count_members(batch, room_id, room, first, since)
    timeline = room.get("timeline")
    if since is None or has_join or type(timeline) is not dict:
        return
    if timeline.get("limited") is True:
        # Without this token the gap ends at the end of the batch, so that nothing is lost.
        before = timeline.get("prev_batch")
        end = SyncToken(before) if type(before) is str and before else since
        batch.gaps.append(Gap(room_id, since, end, was_in))


def decode_invite(batch: BatchBuilder, room_id: RoomId, room: dict[str, Any]) -> None:
    """Decode an open invitation."""
    inviter: UserId | None = None
    encrypted = False
    for event in batch.events_in(room, "invite_state", "invite", room_id):
        if type(event) is not dict:
            continue  # stripped state can't be trusted; only the invitation itself is needed
        content = own_membership(event, batch.bot)
        if content is not None and content.get("membership") == "invite":
            inviter = as_user_id(event.get("sender"))
        elif event.get("type") == "m.room.encryption" and event.get("state_key") == "":
            encrypted = True
    if inviter is None:
        batch.quarantine("invite", "the invitation does not name its sender", room_id)
    else:
        batch.events.append(InviteArrived(room_id, inviter, encrypted))


def decode_left(batch: BatchBuilder, room_id: RoomId, room: dict[str, Any]) -> None:
    """Decode a room that the bot has left; its last messages can't be answered any more."""
    events = batch.events_in(room, "state", "leave", room_id)
    events = events + batch.events_in(room, "timeline", "leave", room_id)
    for event in reversed(events):
        content = own_membership(event, batch.bot)
        if content is not None and content.get("membership") in ("leave", "ban"):
            assert isinstance(event, dict)
            try:
                removed = bot_removed(event, room_id, batch.bot)
            except Undecodable as reason:
                batch.quarantine("leave", str(reason), room_id, event)
                break
            if removed is not None:
                batch.events.append(removed)
            return
    not_in_it = "the homeserver says that the bot is not in it"
    batch.events.append(BotRemoved(room_id, None, None, not_in_it))


def _was_in(state: list[object], timeline: list[object], bot: UserId) -> bool:
    """Whether the bot was already in the room according to the state before a timeline."""
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
    batch: BatchBuilder, room_id: RoomId, room: JoinedRoom, first: int, since: SyncToken | None
) -> None:
    """Insert the number of other members, where it changed, before the timeline's events (from `first` on).

    Without `since` every room has a count, and the topology has it too; then only rooms with several others need it.
    """
    others = other_member_count(room)
    if others is None:
        arrived = any(_is_arrival(event) for event in batch.events[first:])
        if arrived and since is not None:
            batch.events.insert(first, MembersCounted(room_id, None))
    elif since is not None or others > 1:
        batch.events.insert(first, MembersCounted(room_id, others))


def _is_arrival(event: MatrixEvent) -> bool:
    return isinstance(event, MemberChanged) and event.membership in ("join", "invite")


def _decode_timeline(
    batch: BatchBuilder, room_id: RoomId, events: list[object], *, was_in: bool
) -> bool:
    """Decode events in order; return whether the bot's own join is among them.

    Events before the last join are dropped (fact 4), except the bot's removal and the start of encryption.
    """
    join_index = last_join_index(events, batch.bot, was_in=was_in)
    for event in events[:join_index] if join_index > 0 else ():
        if own_membership(event, batch.bot) is not None or _is_encryption(event):
            _decode_into(batch, room_id, event, "timeline")
    if join_index > 0 and any(
        isinstance(event, BotRemoved) and event.room_id == room_id for event in batch.events
    ):
        # After the removal alone, the room would wait for a message.
        event_id = as_event_id(as_dict(events[join_index]).get("event_id"))
        if event_id is not None:
            batch.events.append(BotReturned(room_id, event_id))
    after_join, first = events[join_index + 1 :], len(batch.events)
    for event in after_join:
        _decode_into(batch, room_id, event, "timeline")
    if len(batch.events) > first:
        batch.events[first:] = without_answered(batch.events[first:], after_join, batch.bot)
    last = last_message(after_join)
    if last is not None and not _is_among(last, batch.events[first:]):
        answers = as_event_id(as_dict(last.get("content")).get(ANSWERS_KEY))
        is_own = last.get("sender") == batch.bot
        batch.last_shown.append(LastMessageShown(room_id, answers if is_own else None))
    return join_index >= 0


def _is_among(message: dict[str, Any], decoded: Iterable[MatrixEvent]) -> bool:
    """Whether a raw message is among the decoded ones that get an answer."""
    event_id = message.get("event_id")
    return any(isinstance(event, MESSAGES) and event.event_id == event_id for event in decoded)


def _is_encryption(event: object) -> bool:
    return type(event) is dict and event.get("type") == "m.room.encryption"


def _decode_into(batch: BatchBuilder, room_id: RoomId, event: object, source: Source) -> None:
    try:
        decoded = decode_event(event, room_id, batch.bot)
    except Undecodable as reason:
        batch.quarantine(source, str(reason), room_id, event)
        decoded = malformed_message(event, room_id, batch.bot)
    if decoded is not None:
        batch.events.append(decoded)
        edit = bundled_edit(event, decoded, batch.bot)
        if edit is not None:
            batch.events.append(edit)

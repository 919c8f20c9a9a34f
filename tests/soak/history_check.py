"""Checks a room's history: each message has one reply, whole and in order (contracts D1, D2).

It is pure: it reads events as a user sees them, so that it can be tested with faulty histories.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sandbox.room_event import ANSWERS, RoomEvent
from tests.soak.traffic import answer_to

PART = "org.lambda.surfaces.part"
PARTIAL = "org.lambda.surfaces.partial"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The faults, each with its message and reason, and the numbers of messages and replies."""

    messages: int = 0
    replies: int = 0
    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there are no faults."""
        return not (self.lost or self.duplicated or self.out_of_order)

    def __add__(self, other: "CheckResult") -> "CheckResult":
        return CheckResult(
            self.messages + other.messages,
            self.replies + other.replies,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.out_of_order + other.out_of_order,
        )


@dataclass(slots=True)
class _Part:
    """One event of a reply, with its content after all edits."""

    index: int
    content: dict[str, Any]


@dataclass(slots=True)
class _Message:
    """One message and the events that answer it."""

    event_id: str
    text: str
    parts: list[_Part] = field(default_factory=list)

    def reply_text(self) -> str:
        """Return the whole reply, without unfinished parts."""
        parts = sorted(self.parts, key=_number)
        return "\n".join(str(part.content.get("body")) for part in parts if not _is_partial(part))

    @property
    def is_command(self) -> bool:
        """Whether this is a command: its one answer may have any text, and may come earlier."""
        return self.text.startswith("!")

    def __str__(self) -> str:
        return f"{self.event_id} {self.text[:40]!r}"


def check_room(events: Sequence[RoomEvent], asker: str, bot: str) -> CheckResult:
    """Check one room; `events` is its whole history, oldest first."""
    asked = {
        event.event_id: _Message(event.event_id, event.body)
        for event in events
        if event.sender == asker and event.msgtype == "m.text"
    }
    unexpected = _gather(events, bot, asked)
    lost = [each for each in asked.values() if not _is_whole(each)]
    duplicated = [each for each in asked.values() if not _is_one_series(each)]
    in_turn = [each for each in asked.values() if not each.is_command and each.parts]
    late = [later for one, later in pairwise(in_turn) if later.parts[0].index < one.parts[0].index]
    return CheckResult(
        messages=len(asked),
        replies=sum(bool(each.parts) for each in asked.values()),
        lost=tuple(f"{each}: {_what_is_missing(each)}" for each in lost),
        duplicated=(*(f"{each}: {len(each.parts)} events" for each in duplicated), *unexpected),
        out_of_order=tuple(f"{each}: answered before an earlier message" for each in late),
    )


def recovery_times(events: Iterable[RoomEvent], bot: str, moments: Sequence[float]) -> list[float]:
    """Return the time from each moment (seconds since the epoch) to the bot's next event, if there is one.

    Of several moments without an event between them only the first counts.
    """
    recovered_s = sorted(event.sent_at_ms / 1000 for event in events if event.sender == bot)
    found: dict[float, float] = {}
    for moment in moments:
        sign = next((at for at in recovered_s if at > moment), None)
        if sign is not None:
            found.setdefault(sign, sign - moment)
    return list(found.values())


def _gather(events: Sequence[RoomEvent], bot: str, asked: dict[str, _Message]) -> list[str]:
    """Add each of the bot's events to the message that it answers; return the events that answer none."""
    unexpected: list[str] = []
    by_id: dict[str, _Part] = {}
    for index, event in enumerate(events):
        if event.sender != bot or event.type != "m.room.message":
            continue
        if event.replaces is not None:
            if event.replaces in by_id:
                by_id[event.replaces].content = event.content.get("m.new_content", {})
            continue
        answers = event.content.get(ANSWERS)
        if answers in asked:
            part = by_id[event.event_id] = _Part(index, event.content)
            asked[answers].parts.append(part)
        elif event.msgtype == "m.text":
            unexpected.append(f"{event.event_id}: a reply to no message")
    return unexpected


def _is_whole(asked: _Message) -> bool:
    if asked.is_command:
        return bool(asked.parts)
    # Where an answer is split, white space is in neither part.
    return asked.reply_text().split() == answer_to(asked.text).split()


def _is_one_series(asked: _Message) -> bool:
    return sorted(map(_number, asked.parts)) == list(range(1, len(asked.parts) + 1))


def _what_is_missing(asked: _Message) -> str:
    if not asked.parts:
        return "no reply"
    if any(map(_is_partial, asked.parts)):
        return "a reply that is not finished"
    return f"another text: {asked.reply_text()[:80]!r}"


def _number(part: _Part) -> int:
    number = part.content.get(PART, 1)
    return number if isinstance(number, int) else 0


def _is_partial(part: _Part) -> bool:
    return PARTIAL in part.content

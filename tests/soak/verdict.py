"""What a room's history shows: each message, its one reply, whole and in its place (contracts D1, D2).

Pure: it reads events as a person sees them and knows nothing of the daemon. That makes it testable with histories in
which something is wrong.
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
class Verdict:
    """What is wrong, each with the message and why, and what was counted."""

    messages: int = 0
    replies: int = 0
    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the three are none."""
        return not (self.lost or self.duplicated or self.out_of_order)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.messages + other.messages,
            self.replies + other.replies,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.out_of_order + other.out_of_order,
        )


@dataclass(slots=True)
class _Part:
    """One event of a reply, as it reads after its edits."""

    place: int
    content: dict[str, Any]


@dataclass(slots=True)
class _Asked:
    """One message and the events that answer it."""

    event_id: str
    text: str
    parts: list[_Part] = field(default_factory=list)

    def said(self) -> str:
        """Return the whole reply; a part that is not finished counts as nothing."""
        parts = sorted(self.parts, key=_number)
        return "\n".join(str(part.content.get("body")) for part in parts if not _begun(part))

    @property
    def is_command(self) -> bool:
        """Commands have one answer of any wording, and need not wait their turn."""
        return self.text.startswith("!")

    def __str__(self) -> str:
        return f"{self.event_id} {self.text[:40]!r}"


def judge(events: Sequence[RoomEvent], asker: str, bot: str) -> Verdict:
    """Judge one room; `events` is its whole history, oldest first."""
    asked = {
        event.event_id: _Asked(event.event_id, event.body)
        for event in events
        if event.sender == asker and event.msgtype == "m.text"
    }
    strays = _gather(events, bot, asked)
    lost = [each for each in asked.values() if not _is_whole(each)]
    duplicated = [each for each in asked.values() if not _is_one_series(each)]
    in_turn = [each for each in asked.values() if not each.is_command and each.parts]
    overtaken = [
        later for one, later in pairwise(in_turn) if later.parts[0].place < one.parts[0].place
    ]
    return Verdict(
        messages=len(asked),
        replies=sum(bool(each.parts) for each in asked.values()),
        lost=tuple(f"{each}: {_what_is_missing(each)}" for each in lost),
        duplicated=(*(f"{each}: {len(each.parts)} events" for each in duplicated), *strays),
        out_of_order=tuple(f"{each}: answered before the one before it" for each in overtaken),
    )


def first_signs(events: Iterable[RoomEvent], bot: str, moments: Sequence[float]) -> list[float]:
    """Return how long after each moment (seconds since the epoch) the bot was seen again, if it was.

    Of moments with no sign between them only the first counts: to a person that is one silence.
    """
    signs = sorted(event.sent_at_ms / 1000 for event in events if event.sender == bot)
    found: dict[float, float] = {}
    for moment in moments:
        sign = next((at for at in signs if at > moment), None)
        if sign is not None:
            found.setdefault(sign, sign - moment)
    return list(found.values())


def _gather(events: Sequence[RoomEvent], bot: str, asked: dict[str, _Asked]) -> list[str]:
    """Hand each of the bot's events to what it answers; return what answers nothing that was asked."""
    strays: list[str] = []
    by_id: dict[str, _Part] = {}
    for place, event in enumerate(events):
        if event.sender != bot or event.type != "m.room.message":
            continue
        if event.replaces is not None:
            if event.replaces in by_id:
                by_id[event.replaces].content = event.content.get("m.new_content", {})
            continue
        answers = event.content.get(ANSWERS)
        if answers in asked:
            part = by_id[event.event_id] = _Part(place, event.content)
            asked[answers].parts.append(part)
        elif event.msgtype == "m.text":
            strays.append(f"{event.event_id}: a reply to nothing that was asked")
    return strays


def _is_whole(asked: _Asked) -> bool:
    if asked.is_command:
        return bool(asked.parts)
    # White space where an answer is split belongs to no part.
    return asked.said().split() == answer_to(asked.text).split()


def _is_one_series(asked: _Asked) -> bool:
    return sorted(map(_number, asked.parts)) == list(range(1, len(asked.parts) + 1))


def _what_is_missing(asked: _Asked) -> str:
    if not asked.parts:
        return "no reply"
    if any(map(_begun, asked.parts)):
        return "a reply that is not finished"
    return f"another text: {asked.said()[:80]!r}"


def _number(part: _Part) -> int:
    number = part.content.get(PART, 1)
    return number if isinstance(number, int) else 0


def _begun(part: _Part) -> bool:
    return PARTIAL in part.content

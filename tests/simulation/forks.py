"""Which events of a room happen at the same time: each follows the same event, and neither the other.

A homeserver that gets two events at once lets both follow what was there before, and the room has two ends until
the next event joins them. The current state has both sides; what a sync calls a room's state is that after the
last event, and lacks the other side (design fact 19). Here it is drawn which events come at once. The draws are of
a generator of their own, so that a history without forks is the same as if there were none of this.
"""

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.homeserver import Event, Room

AT_ONCE_MS = 500
"""Events so close to each other may have been sent at the same time."""
INTERRUPTIONS = 4
"""So often at most a process is ended because somebody was just being welcomed."""


class Forks:
    """The dice for all that has to do with forks; `rate` is how many of the events that can be siblings are."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"forks of {seed}")
        self.rate = self.chance.choice((0.0, 0.5, 0.9))
        self.losses = self.chance.choice((0.0, 0.0, 0.5))
        self.made = 0
        self._interruptions = 0

    def likely(self, probability: float = 1.0) -> bool:
        """Throw the dice; never in a history without forks."""
        return self.rate > 0 and self.chance.random() < self.rate * probability

    def interrupts(self) -> bool:
        """Whether the process ends soon after a chat was linked."""
        if self._interruptions >= INTERRUPTIONS or not self.likely(0.6):
            return False
        self._interruptions += 1
        return True

    def splits(
        self, room: "Room", sender: str, kind: str, content: Any, state_key: str | None, now_ms: int
    ) -> bool:
        """Whether an event does not follow the last one, but what the last one follows."""
        if not self.rate or not room.made:
            return False
        last = room.events[-1]
        return (
            (state_key is not None or last.state_key is not None)
            and sender != last.sender
            and now_ms - last.sent_at_ms <= AT_ONCE_MS
            and can_be_siblings(room, last, sender, kind, content, state_key)
            and self.likely()
        )


def can_be_siblings(
    room: "Room", last: "Event", sender: str, kind: str, content: Any, state_key: str | None
) -> bool:
    """Whether an event would be allowed, and possible, if the last one had not happened yet."""
    if last.event_id in room.made_with or last.event_id in repr(content):
        return False
    concerned = {sender} if kind != "m.room.member" or state_key is None else {sender, state_key}
    return all(
        last.before.get(("m.room.member", user_id)) is room.state.get(("m.room.member", user_id))
        for user_id in concerned
    )

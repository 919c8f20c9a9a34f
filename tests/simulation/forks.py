"""Draws which events of a room are sent at the same time (design fact 19), so that each follows the same event.

The draws have a separate generator, so that a history without forks does not depend on them.
"""

import random

from tests.support.memory_homeserver.rooms import Event, Room

AT_ONCE_MS = 500
"""Events at most this far apart may have been sent at the same time."""
INTERRUPTIONS = 4
"""Maximum number of processes that are ended while a user is onboarded."""


class Forks:
    """Draws forks. `rate` is the share of events sent at the same time, among those that can be."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"forks of {seed}")
        self.rate = self.rng.choice((0.0, 0.5, 0.9))
        self.losses = self.rng.choice((0.0, 0.0, 0.5))
        self.count = 0
        self._interruptions = 0

    def likely(self, probability: float = 1.0) -> bool:
        """Draw whether something happens; never in a history without forks."""
        return self.rate > 0 and self.rng.random() < self.rate * probability

    def interrupts(self) -> bool:
        """Whether the process ends soon after a chat was linked."""
        if self._interruptions >= INTERRUPTIONS or not self.likely(0.6):
            return False
        self._interruptions += 1
        return True

    def splits(self, room: Room, last: Event, event: Event) -> bool:
        """Whether an event is sent at the same time as the last one."""
        if not self.rate or room.created_with is None:
            return False
        return (
            (event.state_key is not None or last.state_key is not None)
            and event.sender != last.sender
            and event.sent_at_ms - last.sent_at_ms <= AT_ONCE_MS
            and can_be_siblings(room, last, event)
            and self.likely()
        )


def can_be_siblings(room: Room, last: Event, event: Event) -> bool:
    """Whether an event would be allowed, and possible, if the last one had not happened yet."""
    if room.created_with is None or last.index < room.created_with:
        return False
    if last.event_id in repr(event.content):
        return False
    users = {event.sender, event.state_key} if event.type == "m.room.member" else {event.sender}
    before = room.state_of_first(last.follows)
    members = [("m.room.member", user_id) for user_id in users if user_id is not None]
    return all(before.get(member) is room.state.get(member) for member in members)

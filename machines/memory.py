"""What a chat remembers besides its binding: the context it talks in, its saves, and what is being asked.

It is kept in the room's row only. A lost database loses it (contract C6): an open question is then simply open no
more, and the saves themselves are with the agent.
"""

from msgspec import Struct

from machines.ids import EventId

QUESTION_KEPT_S = 24 * 3600.0
"""How long an open question may be answered."""


class Question(Struct, frozen=True):
    """Something the agent asked to have confirmed (contract K8). `asked_at` is seconds since the epoch.

    `asked_in` is the message whose answer asked it; it names the question, because an agent may use its own `id`
    again. `shown` is the inbox row that told that the room's timeline shows the question, 0 before that: inbox rows
    of a room are numbered in the order of its timeline, so what has a higher number was written after it.
    """

    id: str
    title: str
    description: str
    asked_at: float
    asked_in: EventId = EventId("")
    shown: int = 0

    def expired(self, now: float) -> bool:
        """Whether it is too old to be answered."""
        return now - self.asked_at > QUESTION_KEPT_S

    def shown_before(self, seq: int) -> bool:
        """Whether the room showed the question before the message of inbox row `seq` was written."""
        return 0 < self.shown < seq


class Memory(Struct, frozen=True):
    """One chat's memory. `tokens` is `None` until the agent has told any; `picking` a `!load` list is open."""

    context_name: str = ""
    tokens: int | None = None
    saves: tuple[str, ...] = ()
    question: Question | None = None
    picking: bool = False

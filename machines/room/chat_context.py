"""The chat context: the name of the agent's context, the saved contexts, the token count, and an open question.

It is stored in the room's row only. A lost database loses it (contract C6): an open question is closed then, and the
saved contexts themselves are stored by the agent.
"""

from msgspec import Struct

from machines.ids import EventId

QUESTION_KEPT_S = 24 * 3600.0
"""How long a question can be answered."""


class Question(Struct, frozen=True):
    """A confirmation that the agent asked for (contract K8). `asked_at` is seconds since the epoch.

    `asked_in` is the message whose answer contains the question; it identifies the question, because an agent may
    reuse its own `id`. `shown` is the inbox row of the event that shows the question in the room's timeline, 0 before
    that. Inbox rows of a room have the order of its timeline, so a message with a higher row was written later.
    """

    id: str
    title: str
    description: str
    asked_at: float
    asked_in: EventId = EventId("")
    shown: int = 0

    def expired(self, now: float) -> bool:
        """Whether the question is too old to be answered."""
        return now - self.asked_at > QUESTION_KEPT_S

    def shown_before(self, seq: int) -> bool:
        """Whether the question was in the timeline before the message of inbox row `seq`."""
        return 0 < self.shown < seq


class ChatContext(Struct, frozen=True):
    """The context of one chat. `tokens` is `None` until the agent has reported any; `picking`: a list is open."""

    context_name: str = ""
    tokens: int | None = None
    saves: tuple[str, ...] = ()
    question: Question | None = None
    picking: bool = False

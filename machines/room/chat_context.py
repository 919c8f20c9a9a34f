"""The chat context: the name of the agent's context, the saved contexts, the token count, and an open question.

It is stored in the room's row only and is lost with the database (contract C6): an open question is closed then, and
the agent still stores the saved contexts themselves.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from machines.events.agent import ContextRequest
from machines.events.internal import AgentDone
from machines.ids import EventId, UserId
from machines.room.newest import NewestMessage

QUESTION_LIFETIME_S = 24 * 3600.0
"""How long a question can be answered."""
MAX_TOKENS = 2**53 - 1
"""The largest count that JSON represents exactly."""


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
        return now - self.asked_at > QUESTION_LIFETIME_S

    def shown_before(self, seq: int) -> bool:
        """Whether the question was in the timeline before the message of inbox row `seq`."""
        return 0 < self.shown < seq


class ChatContext(Struct, frozen=True):
    """The context of one chat.

    `tokens` is `None` until the agent has reported any. With `picking`, a number selects a saved context.
    `refusal_told`: the user of this room may no longer talk to the bot, and was told so (contract E3).
    `newest` is the newest message of the room (contract D18). `departed` are users who left an entry room, each with
    the inbox row of that: they do not read what is written there any more (contract O5).
    """

    context_name: str = ""
    tokens: int | None = None
    saves: tuple[str, ...] = ()
    question: Question | None = None
    picking: bool = False
    refusal_told: bool = False
    newest: NewestMessage | None = None
    departed: Mapping[UserId, int] = {}

    def after_answer(
        self, done: AgentDone, request: ContextRequest | None, now: float
    ) -> "ChatContext":
        """Return the context after an answer: its tokens, a save or a load, a new question (contracts K7, K8)."""
        after = replace(self, tokens=min((self.tokens or 0) + done.tokens_used, MAX_TOKENS))
        if request is not None:
            after = after._after_request(request)
        if done.confirmation is None:
            return after
        asked = done.confirmation
        question = Question(asked.id, asked.title, asked.description, now, asked_in=done.turn_id)
        return replace(after, question=question)

    def after_question_shown(self, asked_in: EventId, seq: int) -> "ChatContext":
        """Return the context after the timeline shows the open question; only the first time changes it."""
        question = self.question
        if question is None or question.asked_in != asked_in or question.shown:
            return self
        return replace(self, question=replace(question, shown=seq))

    def _after_request(self, request: ContextRequest) -> "ChatContext":
        if request.action == "load":
            return replace(self, context_name=request.name)
        others = tuple(name for name in self.saves if name != request.name)
        # An open list shows the earlier saves: its numbers would select other saves now.
        return replace(
            self, saves=(*others, request.name), context_name=request.name, picking=False
        )

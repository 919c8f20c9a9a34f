"""`!yes`, `!no` and `!cancel`: what becomes of the agent's question, or of an open list (contracts K7, K8).

A `!yes` or `!no` is an answer only to a question that the room showed before it was written, and only with nothing
behind the word. The order is that of the room's timeline as the homeserver serves it, in which the event that shows
the question stands among the messages of others; no clock is compared. Whatever else is written so gets the open
question once more, which shows it, too.
"""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, Wish, only_answer
from machines.memory import Question
from machines.notices import mark_question
from machines.talk import ConfirmationAnswer


@dataclass(frozen=True, slots=True)
class Yes(Command):
    """Agrees to what the agent asked; what the agent says to that is the answer."""

    name: ClassVar[str] = "yes"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """The agent is asked, after the messages before it."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer the question, once."""
        return _answer(place, self.argument, accepted=True)


@dataclass(frozen=True, slots=True)
class No(Command):
    """Declines what the agent asked; what the agent says to that is the answer."""

    name: ClassVar[str] = "no"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """The agent is asked, after the messages before it."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer the question, once."""
        return _answer(place, self.argument, accepted=False)


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """Leaves an open list, or drops an open question without an answer to the agent."""

    name: ClassVar[str] = "cancel"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Close what is open."""
        catalog, memory = place.world.catalog, place.room.memory
        closed = replace(place.room, memory=replace(memory, picking=False, question=None))
        if memory.picking:
            return Applied(closed, (place.answer(catalog.load_left()),))
        if memory.question is not None:
            return Applied(closed, (place.answer(catalog.question_dropped()),))
        return only_answer(place, catalog.cancel_nothing())


def _answer(place: Place, argument: str, *, accepted: bool) -> Applied:
    catalog, memory = place.world.catalog, place.room.memory
    question = memory.question
    if question is None:
        return only_answer(place, catalog.no_open_question())
    room = replace(place.room, memory=replace(memory, question=None))
    if question.expired(place.world.now):
        return Applied(room, (place.answer(catalog.confirmation_expired()),))
    if argument or not question.shown_before(place.seq):
        return _show_again(place, question)
    # The words are the protocol's, in whichever language the bot speaks.
    words = "yes" if accepted else "no"
    return Applied(room, asks=Wish(words, confirmation=ConfirmationAnswer(question.id, accepted)))


def _show_again(place: Place, question: Question) -> Applied:
    """Leave the question open, and show it in the place of the answer."""
    # One that an older version kept has no name yet.
    question = replace(question, asked_in=question.asked_in or place.event_id)
    room = replace(place.room, memory=replace(place.room.memory, question=question))
    text = place.world.catalog.question_again(question.title, question.description)
    return Applied(room, tuple(mark_question((place.answer(text),), question.asked_in)))

"""`!yes`, `!no` and `!cancel`: what becomes of the agent's question, or of an open list (contracts K7, K8)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, Wish, only_answer
from machines.talk import ConfirmationAnswer


@dataclass(frozen=True, slots=True)
class Yes(Command):
    """Agrees to what the agent asked; what the agent says to that is the answer."""

    name: ClassVar[str] = "yes"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """The question it answers may be about to come."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer the question, once."""
        return _answer(place, accepted=True)


@dataclass(frozen=True, slots=True)
class No(Command):
    """Declines what the agent asked; what the agent says to that is the answer."""

    name: ClassVar[str] = "no"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """The question it answers may be about to come."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer the question, once."""
        return _answer(place, accepted=False)


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """Leaves an open list, or drops an open question without an answer to the agent."""

    name: ClassVar[str] = "cancel"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Close what is open."""
        speech, memory = place.world.speech, place.room.memory
        closed = replace(place.room, memory=replace(memory, picking=False, question=None))
        if memory.picking:
            return Applied(closed, (place.answer(speech.load_left()),))
        if memory.question is not None:
            return Applied(closed, (place.answer(speech.question_dropped()),))
        return only_answer(place, speech.cancel_nothing())


def _answer(place: Place, *, accepted: bool) -> Applied:
    speech, memory = place.world.speech, place.room.memory
    question = memory.question
    if question is None:
        return only_answer(place, speech.no_open_question())
    room = replace(place.room, memory=replace(memory, question=None))
    if question.expired(place.world.now):
        return Applied(room, (place.answer(speech.confirmation_expired()),))
    # The words are the protocol's, in whichever language the bot speaks.
    words = "yes" if accepted else "no"
    return Applied(room, asks=Wish(words, confirmation=ConfirmationAnswer(question.id, accepted)))

"""Which of the rows that wait for an actor may be taken while its messages wait: decided when a row is kept.

A message keeps its place and waits until there is room for it. What happened to the room, and what came of an
order, is never waited for long, or an actor whose messages wait for it would wait for ever. A command that acts at
once overtakes the messages before it, or `!stop` would stand behind them (contract K9).
"""

from enum import IntEnum

from machines.commands import parse
from machines.facts import EncryptedArrived, FileArrived, MalformedArrived, MessageArrived
from machines.happenings import ChatsAsked, NewChatAsked, OnboardingAsked
from machines.ids import UserId

_WITH_A_PLACE = (
    FileArrived,
    MalformedArrived,
    EncryptedArrived,
    OnboardingAsked,
    NewChatAsked,
    ChatsAsked,
)


class Priority(IntEnum):
    """What a row is to the queue of its actor; rows of one priority are taken in the order of their numbers."""

    EVENT = 0
    """Taken whatever else waits, and never bounded: it makes nothing wait."""
    COMMAND = 1
    """Taken whatever messages wait, as soon as the room is bound."""
    MESSAGE = 2
    """Taken in its place; of a user's actor, a request."""


def priority_of(event: object, owner: UserId | None = None) -> Priority:
    """Return how soon an event is taken; `owner` is that of the chat it comes from, where that is known.

    What others write in a chat is finished unanswered as soon as it is looked at (contract D5), so it is looked at
    without waiting: it takes no place among the messages of the owner.
    """
    if (
        isinstance(event, MessageArrived | FileArrived | MalformedArrived)
        and owner is not None
        and event.sender != owner
    ):
        return Priority.EVENT
    if isinstance(event, MessageArrived):
        command = parse(event.body)
        return Priority.MESSAGE if command is None or command.waits else Priority.COMMAND
    return Priority.MESSAGE if isinstance(event, _WITH_A_PLACE) else Priority.EVENT

"""Priorities of inbox rows: which rows may be taken while messages of the actor wait. Decided when a row is saved.

A message keeps its place in the queue. Events of the room and outcomes of orders are taken at any time, because
messages may wait for them. A command that acts at once overtakes the messages before it, so that `!stop` does not
queue behind them (contract K9).
"""

from enum import IntEnum

from machines.commands import parse
from machines.events.internal import ChatListRequested, NewChatRequested, OnboardingRequested
from machines.events.matrix import (
    EncryptedArrived,
    FileArrived,
    MalformedArrived,
    MessageArrived,
)
from machines.ids import UserId

_QUEUED = (
    FileArrived,
    MalformedArrived,
    EncryptedArrived,
    OnboardingRequested,
    NewChatRequested,
    ChatListRequested,
)


class Priority(IntEnum):
    """The priority of an inbox row; rows of one priority are taken in the order of `seq`."""

    EVENT = 0
    """Taken at any time, and never bounded."""
    COMMAND = 1
    """Taken before waiting messages, as soon as the room is bound."""
    MESSAGE = 2
    """Taken in order; for a user's actor, a request."""


def priority_of(event: object, owner: UserId | None = None) -> Priority:
    """Return the priority of an event; `owner` is the owner of the chat that it comes from, if known.

    Messages of others in a chat are never answered (contract D5), so they are finished without waiting and take no
    place among the owner's messages.
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
    return Priority.MESSAGE if isinstance(event, _QUEUED) else Priority.EVENT

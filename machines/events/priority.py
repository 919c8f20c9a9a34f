"""Priorities of inbox rows: which rows are processed while messages of the actor wait. Set when a row is saved.

Messages are processed in order, one turn at a time. Events of the room and outcomes of orders do not wait, because
messages may wait for them. A command that acts at once overtakes the messages before it, so that `!stop` does not wait
for them (contract K9).
"""

from enum import IntEnum

from machines.commands import parse
from machines.events.internal import UserRequest
from machines.events.matrix import (
    EncryptedArrived,
    FileArrived,
    MalformedArrived,
    MessageArrived,
    UnsupportedArrived,
)
from machines.ids import UserId

_QUEUED = UserRequest | FileArrived | UnsupportedArrived | MalformedArrived | EncryptedArrived


class Priority(IntEnum):
    """The priority of an inbox row; rows of one priority are processed in the order of `seq`."""

    EVENT = 0
    """Processed at any time; their number is not limited."""
    COMMAND = 1
    """Processed before waiting messages, as soon as the room is bound."""
    MESSAGE = 2
    """A message, or a request to a user's actor; processed in order."""


def priority_of(event: object, owner: UserId | None = None) -> Priority:
    """Return the priority of an event; `owner` is the owner of the chat, if known.

    Messages of others in a chat are never answered (contract D5), so they do not wait among the owner's messages.
    """
    if (
        isinstance(event, MessageArrived | FileArrived | UnsupportedArrived | MalformedArrived)
        and owner is not None
        and event.sender != owner
    ):
        return Priority.EVENT
    if isinstance(event, MessageArrived):
        command = parse(event.body)
        return Priority.MESSAGE if command is None or command.waits else Priority.COMMAND
    return Priority.MESSAGE if isinstance(event, _QUEUED) else Priority.EVENT

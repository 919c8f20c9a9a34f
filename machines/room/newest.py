"""Decides which answers are sent as a reply to their question: those with another message in between (contract D18).

A room knows its newest message in the order of its timeline, which is the order of its inbox rows. A message of the bot
has no row before it comes back in a sync; it is counted when it is ordered, because it is sent after everything that
was read so far. Its own answers do not separate a message from its answer.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from machines.events.effects import Effect, Enqueue
from machines.events.orders import SendMessage
from machines.ids import EventId


class NewestMessage(Struct, frozen=True):
    """The newest message of a room.

    `event_id` is the message that only its own answers follow; `None` if it is one that gets no answer, such as an
    answer to an earlier message. `seq` is the newest inbox row of a message that was read.
    """

    seq: int = 0
    event_id: EventId | None = None


def after_row(
    newest: NewestMessage | None, seq: int, event_id: EventId | None, answers: EventId | None = None
) -> NewestMessage | None:
    """Return the newest message after an inbox row; a row that was read before changes nothing.

    `event_id` is `None` for a message that gets no answer, and `answers` is the message that it answers.
    """
    if newest is None:
        return NewestMessage(seq, event_id)
    if seq <= newest.seq or (answers is not None and answers == newest.event_id):
        return newest
    return NewestMessage(seq, event_id)


def as_replies(
    newest: NewestMessage | None, effects: Iterable[Effect]
) -> tuple[NewestMessage | None, tuple[Effect, ...]]:
    """Return the newest message after these effects, and the effects with the answers that are sent as replies."""
    marked: list[Effect] = []
    for effect in effects:
        if (
            isinstance(effect, Enqueue)
            and isinstance(effect.order, SendMessage)
            and effect.order.edits is None
        ):
            message = effect.order
            if newest is None or message.answers is None or message.answers != newest.event_id:
                # An unknown newest message is most likely the question.
                if newest is not None and message.answers is not None and message.part in (None, 1):
                    effect = replace(effect, order=replace(message, as_reply=True))
                newest = NewestMessage(newest.seq if newest is not None else 0)
        marked.append(effect)
    return newest, tuple(marked)

"""Splits notices that are too long for one event, and continues replies that are partly in the room (contracts D2, D7).

Other modules send a notice as one `Enqueue`; `in_parts` replaces it if it is too long. The first part of an answer is
`partial` until the last part is sent. So an answer is completed even if the database is lost in between.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from machines.events.effects import Effect, Enqueue
from machines.events.matrix import BegunPart
from machines.events.orders import SendMessage
from machines.ids import EventId, TxnId
from machines.turn.reply import NOTHING_FINISHED, Part, Reply, part_txn, show_last
from machines.turn.split import split


def in_parts(effects: Iterable[Effect], now: float) -> tuple[Effect, ...]:
    """Return the effects of a step, with each long notice split into parts."""
    return tuple(one for effect in effects for one in _parts(effect, now))


def found_parts(answers: EventId, begun: tuple[BegunPart, ...], now: float) -> tuple[Part, ...]:
    """Return the parts of a reply that were found in the history, with new transaction ids for their edits.

    The number of edits is known, but not their transaction ids, because some edits were dropped. The homeserver would
    ignore an edit with a used id as a repetition.
    """
    return tuple(
        Part(
            TxnId(f"{part_txn(answers, index)}.{int(now * 1000)}"),
            part.edits,
            event_id=part.event_id,
        )
        for index, part in enumerate(begun)
    )


def mark_question(effects: Sequence[Effect], question: EventId) -> list[Effect]:
    """Mark the last message of these effects as the one that shows the question.

    The orders of a room are performed in sequence: when that message is in the room, so is the whole question.
    """
    marked = list(effects)
    for index, send in reversed(list(enumerate(effects))):
        if isinstance(send, Enqueue) and isinstance(send.order, SendMessage):
            marked[index] = replace(send, order=replace(send.order, shows_question=question))
            break
    return marked


def _parts(effect: Effect, now: float) -> Iterator[Effect]:
    if (
        isinstance(effect, Enqueue)
        and isinstance(effect.order, SendMessage)
        and effect.order.notice
    ):
        yield from _notice_parts(effect, effect.order, now)
    else:
        yield effect


def _notice_parts(effect: Enqueue, message: SendMessage, now: float) -> Iterator[Effect]:
    pieces = split(message.body)
    if len(pieces) <= 1 and not effect.begun:
        yield effect
    elif message.answers is not None:
        found = found_parts(message.answers, effect.begun, now)
        reply = Reply(message.room_id, message.answers, message.thread_root, found, notice=True)
        shown = show_last(reply, message.body, now, NOTHING_FINISHED)[1]
        question = message.shows_question
        yield from shown if question is None else mark_question(shown, question)
    else:
        for number, piece in enumerate(pieces, 1):
            txn_id = TxnId(f"{effect.txn_id}.{number}") if number > 1 else effect.txn_id
            yield replace(effect, order=replace(message, body=piece, part=number), txn_id=txn_id)

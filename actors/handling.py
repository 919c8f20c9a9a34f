"""One decision of one actor, and what happens with an event that cannot be decided."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from machines.commands.base import answer
from machines.context import StepContext
from machines.errors import IllegalEvent
from machines.events.effects import DeadLetter, Effect
from machines.events.internal import ReplyTarget
from machines.events.matrix import FileArrived, MessageArrived
from machines.ids import ActorKey
from machines.room import actor as room_actor
from machines.room.actor import RoomActor
from machines.user import actor as user_actor
from machines.user.actor import UserActor

Actor = RoomActor | UserActor


def decide(
    key: ActorKey,
    value: Actor,
    event: Any,
    seq: int,
    context: StepContext,
    received_at: float | None = None,
) -> tuple[Actor, Sequence[Effect]]:
    """Take one event of one actor; `seq` is its inbox row, 0 for a signal, and `received_at` when the row was made.

    An event that a machine refuses changes nothing. A fault in this program sets the row aside, or the first waiting
    message, if the event can be taken without that message.
    """
    reason = ""
    for attempt, head in _attempts(value):
        try:
            after, effects = _handle(attempt, event, seq, context, received_at)
        except IllegalEvent as error:
            return value, room_actor.effects_of_refusal(error, seq)
        # One of the two broad excepts: a fault in one room's decision must not end the others.
        except Exception as error:  # noqa: BLE001
            reason = reason or _tell_fault(key, event, error)
        else:
            return after, effects if head is None else (*_aside(*head, reason, context), *effects)
    return value, _aside(seq, event, reason, context) if seq else ()


def _tell_fault(key: ActorKey, event: object, error: Exception) -> str:
    kind = type(error).__name__
    structlog.get_logger().error(
        "actor_fault",
        actor=key,
        happening=type(event).__name__,
        error=kind,
        where=_where(error),
    )
    return f"{kind} in this program while deciding"


def _handle(
    value: Actor, event: Any, seq: int, context: StepContext, received_at: float | None
) -> tuple[Actor, Sequence[Effect]]:
    if isinstance(value, RoomActor):
        return room_actor.handle(value, event, context, seq, received_at)
    return user_actor.handle(value, event, seq, context)


def _aside(seq: int, event: object, reason: str, context: StepContext) -> tuple[Effect, ...]:
    """Set an inbox row aside, and tell the sender of a message that it gets no answer (contract D9)."""
    aside = DeadLetter(seq, reason)
    if not isinstance(event, MessageArrived | FileArrived):
        return (aside,)
    if not context.access.allows(event.sender):
        return (aside,)
    reply_to = ReplyTarget(event.room_id, event.event_id, event.thread_root)
    return (aside, answer(reply_to, context.catalog.message_failed()))


def _attempts(
    value: Actor,
) -> Iterator[tuple[Actor, tuple[int, object] | None]]:
    """Yield the value and, if that fails, the value without its first waiting message.

    That message is tried with every event, so one that cannot be taken would make all of them fail.
    """
    yield value, None
    if value.waiting:
        if isinstance(value, RoomActor):
            first = value.waiting[0]
            yield replace(value, waiting=value.waiting[1:]), (first.seq, first.message)
        else:
            yield replace(value, waiting=value.waiting[1:]), value.waiting[0]


def _where(error: BaseException) -> str:
    """Return the file and line of a fault; never the error's text, which may quote a message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"

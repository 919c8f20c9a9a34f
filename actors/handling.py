"""One decision of one actor, and what happens with an event that cannot be decided."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from machines.commands.base import answer
from machines.context import World
from machines.errors import IllegalEvent
from machines.events.effects import DeadLetter, Effect
from machines.events.internal import ReplyTarget
from machines.events.matrix import FileArrived, MessageArrived
from machines.ids import ActorKey
from machines.room import actor as room_actor
from machines.room.actor import Conversation
from machines.user import actor as user_actor
from machines.user.actor import Household

Actor = Conversation | Household


def decide(
    key: ActorKey,
    value: Actor,
    event: Any,
    seq: int,
    world: World,
    received_at: float | None = None,
) -> tuple[Actor, Sequence[Effect]]:
    """Take one event of one actor; `seq` is its inbox row, 0 for a signal, and `received_at` when the row was made.

    An event that a machine refuses changes nothing. A fault in this program sets the row aside, or the first waiting
    message, if the event can be taken without that message.
    """
    reason = ""
    for attempt, head in _attempts(value):
        try:
            after, effects = _take(attempt, event, seq, world, received_at)
        except IllegalEvent as error:
            return value, room_actor.refused(error, seq)
        # One of the two broad excepts: a fault in one room's decision must not end the others.
        except Exception as error:  # noqa: BLE001
            reason = reason or _tell_fault(key, event, error)
        else:
            return after, effects if head is None else (*_aside(*head, reason, world), *effects)
    return value, _aside(seq, event, reason, world) if seq else ()


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


def _take(
    value: Actor, event: Any, seq: int, world: World, received_at: float | None
) -> tuple[Actor, Sequence[Effect]]:
    if isinstance(value, Conversation):
        return room_actor.take(value, event, world, seq, received_at)
    return user_actor.take(value, event, seq, world)


def _aside(seq: int, event: object, reason: str, world: World) -> tuple[Effect, ...]:
    """Set an inbox row aside, and tell the sender of a message that it gets no answer (contract D9)."""
    aside = DeadLetter(seq, reason)
    if not isinstance(event, MessageArrived | FileArrived):
        return (aside,)
    if not world.access.allows(event.sender):
        return (aside,)
    asked = ReplyTarget(event.room_id, event.event_id, event.thread_root)
    return (aside, answer(asked, world.catalog.message_failed()))


def _attempts(
    value: Actor,
) -> Iterator[tuple[Actor, tuple[int, object] | None]]:
    """Yield the value and, if that fails, the value without its first waiting message.

    That message is tried with every event, so one that cannot be taken would make all of them fail.
    """
    yield value, None
    if value.waiting:
        if isinstance(value, Conversation):
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

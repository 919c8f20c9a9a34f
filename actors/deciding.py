"""One decision of one actor, and what becomes of an event that can't be decided."""

from collections.abc import Iterator, Sequence

import structlog
from msgspec.structs import replace

from machines import conversation, household
from machines.commands.base import answer
from machines.conversation import Conversation
from machines.effects import Effect, SetAside
from machines.errors import IllegalEvent
from machines.facts import FileArrived, MessageArrived
from machines.happenings import Asked
from machines.household import Household
from machines.ids import ActorKey
from machines.world import World

Actor = Conversation | Household


def decide(
    key: ActorKey,
    value: Actor,
    event: object,
    seq: int | None,
    world: World,
    received_at: float | None = None,
) -> tuple[Actor, Sequence[Effect]]:
    """Take one event of one actor; `seq` is its inbox row where it has one, `received_at` when that was made.

    What the machines refuse changes nothing. A fault in this program sets the row aside, or the message at
    the head of what waits, if the event is dealt with once that is gone.
    """
    reason = ""
    for attempt, head in _attempts(value):
        try:
            after, effects = _take(attempt, event, seq, world, received_at)
        except IllegalEvent as error:
            return value, conversation.refused(error, seq)
        # One of the two broad excepts: a fault in one room's decision must not end the others.
        except Exception as error:  # noqa: BLE001
            reason = reason or _tell_fault(key, event, error)
        else:
            return after, effects if head is None else (*_aside(*head, reason, world), *effects)
    return value, _aside(seq, event, reason, world) if seq is not None else ()


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
    value: Actor, event: object, seq: int | None, world: World, received_at: float | None
) -> tuple[Actor, Sequence[Effect]]:
    if isinstance(value, Conversation):
        return conversation.take(value, event, world, seq, received_at)
    if seq is None:
        raise TypeError(f"a user's actor is told nothing: {type(event).__name__}")
    return household.take(value, event, seq, world)


def _aside(seq: int, event: object, reason: str, world: World) -> tuple[Effect, ...]:
    """Set an inbox row aside, and tell whoever wrote a message that it gets no answer (contract D9)."""
    aside = SetAside(seq, reason)
    if not isinstance(event, MessageArrived | FileArrived):
        return (aside,)
    if not world.access.allows(event.sender):
        return (aside,)
    asked = Asked(event.room_id, event.event_id, event.thread_root)
    return (aside, answer(asked, world.speech.message_failed()))


def _attempts(
    value: Actor,
) -> Iterator[tuple[Actor, tuple[int, object] | None]]:
    """Yield the value and, should that fail, the value without the message at the head of what waits.

    That message is tried with every event, so one that can't be dealt with would bring down all of them.
    """
    yield value, None
    if value.waiting:
        if isinstance(value, Conversation):
            first = value.waiting[0]
            yield replace(value, waiting=value.waiting[1:]), (first.seq, first.message)
        else:
            yield replace(value, waiting=value.waiting[1:]), value.waiting[0]


def _where(error: BaseException) -> str:
    """Return file and line of a fault; never a message, which may quote what somebody wrote."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"

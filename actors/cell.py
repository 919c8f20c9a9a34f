"""An actor cell: one active actor in memory, its pending events, and the handling of one batch of them.

`process_batch` passes a bounded number of events through the pure decision of the actor (`handle_event`). It returns
what to commit and what to do afterwards. The cell changes only after the commit (`apply`); if the commit fails, the
actor is loaded again.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from actors.collector import EffectCollector, VolatileEffect
from actors.context import ContextProvider
from actors.inbox_queues import InboxQueues
from actors.outbox import LANE_FULL, is_new_message
from machines.commands.base import answer
from machines.context import StepContext
from machines.errors import IllegalEvent
from machines.events.effects import DeadLetter, Effect
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    MessageDeferred,
    ReplyTarget,
)
from machines.events.matrix import (
    FileArrived,
    MalformedArrived,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    UnsupportedArrived,
)
from machines.events.priority import Priority
from machines.ids import ActorKey, AgentId, RoomId, UserId, actor_field
from machines.room import actor as room_actor
from machines.room.actor import RoomActor
from machines.room.state import Room
from machines.user import actor as user_actor
from machines.user.actor import UserActor
from machines.user.chats import ChatSummary
from machines.user.machine import User
from store.records import InboxRow, RoomRows, UnitOfWork, UserRows

EVENTS_PER_BATCH = 16
MAX_WAITING = 64
"""Maximum number of waiting messages of a room, or requests of a user, in memory; others stay in the inbox."""

Actor = RoomActor | UserActor
_MESSAGES = (MessageArrived, FileArrived, UnsupportedArrived, MalformedArrived)
_CHANGES = (MessageEdited, MessageDeleted)
_ALL = frozenset(Priority)
_EXCEPT_MESSAGES = frozenset((Priority.EVENT, Priority.COMMAND))
_ONLY_EVENTS = frozenset((Priority.EVENT,))


class ProcessedBatch(Struct):
    """The result of one batch: the new state, its unit of work, and the effects to perform after the commit."""

    cell: "ActorCell"
    actor: Actor
    unit_of_work: UnitOfWork
    volatile: tuple[VolatileEffect, ...]
    handled: tuple[int, ...]
    """The inbox rows of the batch; the room's actor may still hold some of them as waiting messages."""


class ActorCell:
    """One active actor. `signals` are events without a row: output of an agent, and timers.

    `pending_orders` is the number of pending orders of the room's lane, and `message_pending` whether a new message is
    among them; the dispatcher sets both.
    """

    def __init__(self, key: ActorKey, rows: RoomRows | UserRows) -> None:
        self.key = key
        self.signals: deque[object] = deque()
        self.inbox = InboxQueues(rows.inbox)
        self.pending_orders = 0
        self.message_pending = False
        self.actor: Actor
        if isinstance(rows, RoomRows):
            self.actor = RoomActor(rows.room or Room(RoomId(key)), rows.turn)
        else:
            self.actor = UserActor(rows.user or User(UserId(key)), rows.chats)

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Add new inbox rows, in order.

        If a room is not bound and can't accept a further message, it gets a signal, which starts a repair (C8).
        """
        for row in rows:
            self.inbox.deliver(row)
            if isinstance(row.event, _CHANGES):
                self.inbox.change_message(row.event)
            full = _open_priorities(self.actor, 0) == _ONLY_EVENTS
            if full and isinstance(self.actor, RoomActor) and isinstance(row.event, _MESSAGES):
                self.signal(MessageDeferred(row.seq, row.event, row.received_at))

    def signal(self, event: object) -> None:
        """Add an event without a row. It replaces older agent output, or an older deferred message."""
        newest = self.signals[-1] if self.signals else None
        if (
            isinstance(newest, AgentOutput)
            and isinstance(event, AgentOutput | AgentDone | AnswerTooLong)
            and (event.turn_id, event.attempt) == (newest.turn_id, newest.attempt)
        ) or (isinstance(newest, MessageDeferred) and isinstance(event, MessageDeferred)):
            self.signals.pop()
        self.signals.append(event)

    def update_chats(self, chats: tuple[ChatSummary, ...]) -> None:
        """Replace the user's chats, which are rows of other actors."""
        if isinstance(self.actor, UserActor):
            self.actor = replace(self.actor, chats=chats)

    @property
    def has_work(self) -> bool:
        """Whether there is an event that can be handled now."""
        return bool(self.signals) or self.has_open_rows

    @property
    def has_open_rows(self) -> bool:
        """Whether there are inbox rows that can be handled now."""
        return self.inbox.has_rows(_open_priorities(self.actor, self.pending_orders))

    def queues_to_read(self) -> tuple[tuple[Priority, int], ...]:
        """Return which rows must be read first: their priority, and the `seq` after which to read."""
        open_priorities = _open_priorities(self.actor, self.pending_orders)
        return tuple(self.inbox.queues_to_read(open_priorities))

    @property
    def congested(self) -> bool:
        """Whether rows wait because too many orders are pending."""
        return bool(self.inbox) and self.pending_orders >= LANE_FULL

    @property
    def caught_up(self) -> bool:
        """Whether every message that the actor has accepted is answered."""
        actor = self.actor
        return not actor.waiting and (isinstance(actor, UserActor) or actor.turn is None)

    @property
    def owner(self) -> ActorKey | None:
        """The owner of the room, if known."""
        binding = self.actor.room.binding if isinstance(self.actor, RoomActor) else None
        return ActorKey(binding.matrix_user_id) if binding is not None else None

    @property
    def waits_for(self) -> AgentId | None:
        """The agent that the room's turn waits for: it has no output of this attempt yet."""
        turn = self.actor.turn if isinstance(self.actor, RoomActor) else None
        waits = turn is not None and turn.state != "streaming"
        return turn.request.agent_id if turn is not None and waits else None

    @property
    def is_creating(self) -> bool:
        """Whether this is a user whose Space or chat is being created."""
        return isinstance(self.actor, UserActor) and self.actor.user.state != "resting"

    @property
    def idle(self) -> bool:
        """Whether the cell can be passivated: everything is in its rows."""
        return self.caught_up and not (self.signals or self.inbox)

    def due_at(self) -> float | None:
        """Return the time of the actor's next timer."""
        return self.actor.due_at() if isinstance(self.actor, RoomActor) else None

    def process_batch(self, context_provider: ContextProvider) -> ProcessedBatch:
        """Handle a bounded number of events: signals first, then the inbox in order."""
        collector = EffectCollector(self.key, self.actor)
        handled: list[int] = []
        actor = self.actor
        for _ in range(EVENTS_PER_BATCH):
            seq = 0
            received_at: float | None = None
            if self.signals:
                event = self.signals.popleft()
            elif (row := self.inbox.pop(_open_priorities(actor, self.pending_orders))) is not None:
                event, seq, received_at = row.event, row.seq, row.received_at
                handled.append(seq)
                if isinstance(event, _CHANGES):
                    # The message may have been read from the database before the change was committed.
                    self.inbox.change_message(event)
            else:
                break
            context = context_provider.step_context()
            if self.message_pending or any(is_new_message(row.order) for row in collector.orders):
                context = replace(context, message_pending=True)
            actor, effects = handle_event(self.key, actor, event, seq, context, received_at)
            for effect in effects:
                collector.add(effect, context, context_provider)
        unit_of_work = collector.unit_of_work(actor)
        return ProcessedBatch(self, actor, unit_of_work, tuple(collector.volatile), tuple(handled))

    def apply(self, batch: ProcessedBatch) -> None:
        """Change the state to that of a committed batch."""
        self.actor = batch.actor
        if _open_priorities(self.actor, 0) == _ONLY_EVENTS:
            # This may last for hours, and there may be many such rooms.
            self.inbox.unload(_ALL - _ONLY_EVENTS)


def _open_priorities(actor: Actor, pending_orders: int) -> frozenset[Priority]:
    """Return the priorities that may be handled now: messages are excluded while enough of them wait.

    In a room that is not bound a command waits like a message.
    """
    if len(actor.waiting) < MAX_WAITING and pending_orders < LANE_FULL:
        return _ALL
    bound = isinstance(actor, RoomActor) and actor.room.state == "bound"
    return _EXCEPT_MESSAGES if bound and pending_orders < 2 * LANE_FULL else _ONLY_EVENTS


def handle_event(
    key: ActorKey,
    actor: Actor,
    event: Any,
    seq: int,
    context: StepContext,
    received_at: float | None = None,
) -> tuple[Actor, Sequence[Effect]]:
    """Pass one event to its actor; `seq` is its inbox row (0 for a signal), `received_at` the time of the row.

    An event that a machine refuses changes nothing. After a fault in this program the row becomes a dead letter. If
    the event can be handled without the first waiting message, that message becomes the dead letter instead.
    """
    reason = ""
    for attempt, removed in _attempts(actor):
        try:
            after, effects = _handle(attempt, event, seq, context, received_at)
        except IllegalEvent as error:
            return actor, room_actor.effects_of_refusal(key, error, seq)
        # Broad, because a fault in one room's decision must not end the others.
        except Exception as error:  # noqa: BLE001
            reason = reason or _log_fault(key, event, error)
        else:
            dead = () if removed is None else _dead_letter(*removed, reason, context)
            return after, (*dead, *effects)
    return actor, _dead_letter(seq, event, reason, context) if seq else ()


def _handle(
    actor: Actor, event: Any, seq: int, context: StepContext, received_at: float | None
) -> tuple[Actor, Sequence[Effect]]:
    if isinstance(actor, RoomActor):
        return room_actor.handle(actor, event, context, seq, received_at)
    return user_actor.handle(actor, event, seq, context)


def _attempts(actor: Actor) -> Iterator[tuple[Actor, tuple[int, object] | None]]:
    """Yield the actor and, if that fails, the actor without its first waiting message, and that message.

    The first waiting message is tried with every event, so a faulty one would make all of them fail.
    """
    yield actor, None
    if actor.waiting:
        if isinstance(actor, RoomActor):
            first = actor.waiting[0]
            yield replace(actor, waiting=actor.waiting[1:]), (first.seq, first.message)
        else:
            yield replace(actor, waiting=actor.waiting[1:]), actor.waiting[0]


def _dead_letter(seq: int, event: object, reason: str, context: StepContext) -> tuple[Effect, ...]:
    """Return the dead letter and, for a message of an allowed user, a notice that it gets no answer (contract D9)."""
    dead_letter = DeadLetter(seq, reason)
    if isinstance(
        event, MessageArrived | FileArrived | UnsupportedArrived
    ) and context.access.allows(event.sender):
        reply_to = ReplyTarget(event.room_id, event.event_id, event.thread_root)
        return (dead_letter, answer(reply_to, context.catalog_for(event.sender).message_failed()))
    return (dead_letter,)


def _log_fault(key: ActorKey, event: object, error: Exception) -> str:
    """Log a fault with its file and line, never with the error's text, which may quote a message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "unknown"
    if trace is not None:
        where = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"
    kind = type(error).__name__
    structlog.get_logger().error(
        "actor_fault",
        **actor_field(key),
        event_type=type(event).__name__,
        error=kind,
        where=where,
    )
    return f"{kind} in this program while deciding"

"""An actor cell: the rows of one active actor in memory, its pending events, and one batch of them.

`process_batch` passes a bounded number of events through the pure decision (`handling`). It returns what to commit
and what to do afterwards. The cell changes only after the commit (`apply`); if the commit fails, it is loaded again.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from actors.collector import EffectCollector, VolatileEffect
from actors.context import ContextProvider
from actors.handling import Actor, decide
from actors.inbox_queues import Queues
from actors.outbox import LANE_FULL
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AnswerTooLong,
    MessageDeferred,
)
from machines.events.matrix import FileArrived, MalformedArrived, MessageArrived
from machines.events.priority import Priority
from machines.ids import ActorKey, RoomId, UserId
from machines.room.actor import RoomActor
from machines.room.state import Room
from machines.user.actor import UserActor
from machines.user.chats import ChatSummary
from machines.user.machine import User
from store.records import InboxRow, RoomRows, UnitOfWork, UserRows

EVENTS_PER_BATCH = 16
WINDOW = 64
"""How many messages of a room, or requests of a user, are held in memory; further ones stay in the inbox."""


class ProcessedBatch(Struct):
    """The result of one batch: its unit of work, and the effects to perform after the commit."""

    cell: "ActorCell"
    after: Actor
    writes: UnitOfWork
    deferred: tuple[VolatileEffect, ...]
    taken: tuple[int, ...]
    """Inbox rows that were taken; some of them may still wait inside the room's actor."""


class ActorCell:
    """One active actor. `signals` holds events without a row: output of an agent, and timers.

    `orders_waiting` is the number of pending orders of the room's lane, set by the dispatcher.
    """

    def __init__(self, key: ActorKey, rows: RoomRows | UserRows) -> None:
        self.key = key
        self.signals: deque[object] = deque()
        self.inbox = Queues(rows.inbox)
        self.orders_waiting = 0
        self.value: Actor
        if isinstance(rows, RoomRows):
            self.value = RoomActor(rows.room or Room(RoomId(key)), rows.turn)
        else:
            self.value = UserActor(rows.user or User(UserId(key)), rows.chats)

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Add new inbox rows, in order.

        A room that is not bound is signalled about a message that cannot be taken yet, which starts a repair (C8).
        """
        for row in rows:
            self.inbox.deliver((row,))
            if isinstance(row.event, _MESSAGES) and self._is_full_and_not_bound:
                self.signal(MessageDeferred(row.seq, row.event, row.received_at))

    @property
    def _is_full_and_not_bound(self) -> bool:
        value = self.value
        return _open_to(value, 0) == _EVENTS and isinstance(value, RoomActor)

    def signal(self, event: object) -> None:
        """Add an event without a row. Of agent output, and of deferred messages, only the newest is kept."""
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
        if isinstance(self.value, UserActor):
            self.value = replace(self.value, chats=chats)

    @property
    def has_work(self) -> bool:
        """Whether there is an event that can be taken now."""
        return bool(self.signals) or self.can_take

    @property
    def can_take(self) -> bool:
        """Whether there are inbox rows that can be taken now."""
        return self.inbox.any_in(_open_to(self.value, self.orders_waiting))

    def to_read(self) -> tuple[tuple[Priority, int], ...]:
        """Return which rows must be read first: their priority, and the `seq` after which to read."""
        return tuple(self.inbox.to_read(_open_to(self.value, self.orders_waiting)))

    def feed(self, priority: Priority, rows: Sequence[InboxRow]) -> None:
        """Add the next rows of a priority that were read from the database."""
        self.inbox.feed(priority, rows)

    @property
    def congested(self) -> bool:
        """Whether rows wait because too many orders are pending."""
        return bool(self.inbox) and self.orders_waiting >= LANE_FULL

    @property
    def caught_up(self) -> bool:
        """Whether everything that was taken is answered."""
        value = self.value
        return not value.waiting and (isinstance(value, UserActor) or value.turn is None)

    @property
    def owner(self) -> ActorKey | None:
        """The owner of the room, if known."""
        binding = self.value.room.binding if isinstance(self.value, RoomActor) else None
        return ActorKey(binding.matrix_user_id) if binding is not None else None

    @property
    def making(self) -> bool:
        """Whether this is a user whose Space or chat is being created."""
        return isinstance(self.value, UserActor) and self.value.user.state != "resting"

    @property
    def idle(self) -> bool:
        """Whether the cell can be passivated: everything is in its rows."""
        return self.caught_up and not (self.signals or self.inbox)

    def due_at(self) -> float | None:
        """Return the time of the actor's next timer."""
        return self.value.due_at() if isinstance(self.value, RoomActor) else None

    def process_batch(self, context_provider: ContextProvider) -> ProcessedBatch:
        """Handle a bounded number of events: signals first, then the inbox in order."""
        collector = EffectCollector(self.key, self.value)
        taken: list[int] = []
        value = self.value
        for _ in range(EVENTS_PER_BATCH):
            seq = 0
            received_at: float | None = None
            if self.signals:
                event = self.signals.popleft()
            elif (row := self.inbox.take(_open_to(value, self.orders_waiting))) is not None:
                event, seq, received_at = row.event, row.seq, row.received_at
                taken.append(seq)
            else:
                break
            context = context_provider.step_context()
            value, effects = decide(self.key, value, event, seq, context, received_at)
            for effect in effects:
                collector.add(effect, context, context_provider)
        writes = collector.writes(value)
        return ProcessedBatch(self, value, writes, tuple(collector.deferred), tuple(taken))

    def apply(self, batch: ProcessedBatch) -> None:
        """Take over the committed result of a batch."""
        self.value = batch.after
        if _open_to(self.value, 0) == _EVENTS:
            # This may last for hours, and there may be many such rooms.
            self.inbox.unload(_ALL - _EVENTS)


_MESSAGES = (MessageArrived, FileArrived, MalformedArrived)
_ALL = frozenset(Priority)
_BUT_MESSAGES = frozenset((Priority.EVENT, Priority.COMMAND))
_EVENTS = frozenset((Priority.EVENT,))


def _open_to(value: Actor, orders_waiting: int) -> frozenset[Priority]:
    """Return the priorities that may be taken now: messages are excluded while enough of them wait.

    In a room that is not bound a command waits like a message.
    """
    if len(value.waiting) < WINDOW and orders_waiting < LANE_FULL:
        return _ALL
    bound = isinstance(value, RoomActor) and value.room.state == "bound"
    return _BUT_MESSAGES if bound and orders_waiting < 2 * LANE_FULL else _EVENTS

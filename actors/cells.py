"""A cell is an actor that is awake: its rows in memory, what waits for it, and one visit to it.

A visit takes what happened to the actor, a bounded number of events, through the pure decision (`machines`),
and returns what to commit and what to do afterwards. The cell itself changes only when the visit is committed
(`settle`); a visit whose commit fails leaves it to be loaded again.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from machines import conversation, household
from machines.commands.base import answer
from machines.conversation import Conversation
from machines.effects import (
    Ask,
    Consume,
    DropEdits,
    Effect,
    HangUp,
    Log,
    MarkRead,
    Reconcile,
    Record,
    SavePreferences,
    Send,
    SetAside,
    ShowTyping,
    Tell,
    TookPlatformChatId,
)
from machines.errors import IllegalEvent
from machines.facts import FileArrived, MessageArrived
from machines.happenings import AgentGrew
from machines.household import Household
from machines.ids import ActorKey, RoomId, UserId
from machines.preferences import Preferences
from machines.room import Room
from machines.user import Asked, User
from machines.world import World
from store.records import InboxRow, OutboxRow, RoomRows, Transition, UserRows, Writes
from store.units import READ_AHEAD

EVENTS_A_VISIT = 16
WINDOW = 64
"""How many messages may wait in a conversation; what comes behind them stays in the inbox."""
HELD = 256
"""How many inbox rows a cell holds; what comes behind them is read from the database again."""

Deferred = Ask | HangUp | Reconcile | ShowTyping | MarkRead | Log


@dataclass(slots=True)
class Visit:
    """What one visit came to: the writes of its transaction, and what follows the commit."""

    cell: "Cell"
    after: Conversation | Household
    writes: Writes
    deferred: tuple[Deferred, ...]
    taken: tuple[int, ...]
    """Inbox rows that were taken in this visit; some of them may wait on inside the conversation."""


class Cell:
    """One awake actor. `told` is what needs no row: the words of an agent, and time."""

    def __init__(self, key: ActorKey, rows: RoomRows | UserRows) -> None:
        self.key = key
        self.told: deque[object] = deque()
        self.inbox: deque[InboxRow] = deque()
        self.more_stored = False
        self.last_seq = 0
        self.passed_over = 0
        self.value: Conversation | Household
        if isinstance(rows, RoomRows):
            self.value = Conversation(rows.room or Room(RoomId(key)), rows.turn)
        else:
            self.value = Household(rows.user or User(UserId(key)), rows.chats)
        self.deliver(rows.inbox)
        self.more_stored = len(rows.inbox) >= READ_AHEAD

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Take in new inbox rows, in order; those it has no room for are read again later."""
        for row in rows:
            if row.seq <= self.last_seq:
                continue
            if self.more_stored or len(self.inbox) >= HELD:
                self.more_stored = True
                self.passed_over = row.seq
                continue
            self.inbox.append(row)
            self.last_seq = row.seq

    def tell(self, event: object) -> None:
        """Take in what needs no row; a newer state of an answer takes the place of an older one."""
        newest = self.told[-1] if self.told else None
        if (
            isinstance(event, AgentGrew)
            and isinstance(newest, AgentGrew)
            and (event.turn_id, event.attempt) == (newest.turn_id, newest.attempt)
        ):
            self.told.pop()
        self.told.append(event)

    @property
    def hungry(self) -> bool:
        """Whether there is something to take."""
        return bool(self.told) or ((self.more_to_read or bool(self.inbox)) and not self.full)

    @property
    def full(self) -> bool:
        """Whether so many messages wait that no more are taken in."""
        return _is_full(self.value)

    @property
    def more_to_read(self) -> bool:
        """Whether the next inbox rows have to be read from the database."""
        return self.more_stored and not self.inbox

    def feed(self, rows: Sequence[InboxRow]) -> None:
        """Take in the next rows that were read from the database.

        A row that was passed over meanwhile may have been committed after they were read.
        """
        self.more_stored = False
        self.deliver(rows)
        self.more_stored = len(rows) >= READ_AHEAD or self.passed_over > self.last_seq

    @property
    def caught_up(self) -> bool:
        """Whether nothing that was taken so far is still to be answered."""
        value = self.value
        return not value.waiting and (isinstance(value, Household) or value.turn is None)

    @property
    def owner(self) -> ActorKey | None:
        """Whose room this is, where that is known."""
        binding = self.value.room.binding if isinstance(self.value, Conversation) else None
        return ActorKey(binding.matrix_user_id) if binding is not None else None

    @property
    def making(self) -> bool:
        """Whether this is a user for whom something is being made."""
        return isinstance(self.value, Household) and self.value.user.state != "resting"

    @property
    def resting(self) -> bool:
        """Whether nothing would be lost if the cell were forgotten: it is all in its rows."""
        return self.caught_up and not (self.told or self.inbox or self.more_stored)

    def due_at(self) -> float | None:
        """Return when it wants to be looked at next, if nothing happens before."""
        return self.value.due_at() if isinstance(self.value, Conversation) else None

    def visit(self, worlds: "Worlds") -> Visit:
        """Take a bounded number of events: what was told first, then the inbox in order."""
        gathered = _Gathered(self)
        value = self.value
        for _ in range(EVENTS_A_VISIT):
            seq: int | None = None
            if self.told:
                event = self.told.popleft()
            elif self.inbox and not _is_full(value):
                row = self.inbox.popleft()
                event, seq = row.event, row.seq
                gathered.taken.append(seq)
            else:
                break
            world = worlds.world()
            value, effects = self._decide(value, event, seq, world)
            for effect in effects:
                gathered.add(effect, world, worlds)
        return gathered.visit(value)

    def _decide(
        self, value: Conversation | Household, event: object, seq: int | None, world: World
    ) -> tuple[Conversation | Household, Sequence[Effect]]:
        reason = ""
        for attempt, head in _attempts(value):
            try:
                after, effects = _take(attempt, event, seq, world)
            except IllegalEvent as error:
                return value, conversation.refused(error, seq)
            # One of the two broad excepts: a fault in one room's decision must not end the others.
            except Exception as error:  # noqa: BLE001
                reason = reason or self._tell_fault(event, error)
            else:
                return after, effects if head is None else (*_aside(*head, reason, world), *effects)
        return value, _aside(seq, event, reason, world) if seq is not None else ()

    def _tell_fault(self, event: object, error: Exception) -> str:
        kind = type(error).__name__
        structlog.get_logger().error(
            "actor_fault",
            actor=self.key,
            happening=type(event).__name__,
            error=kind,
            where=_where(error),
        )
        return f"{kind} in this program while deciding"

    def settle(self, visit: Visit) -> None:
        """The visit is committed: its outcome is what the actor is now."""
        self.value = visit.after


def _take(
    value: Conversation | Household, event: object, seq: int | None, world: World
) -> tuple[Conversation | Household, Sequence[Effect]]:
    if isinstance(value, Conversation):
        return conversation.take(value, event, world, seq)
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
    value: Conversation | Household,
) -> Iterator[tuple[Conversation | Household, tuple[int, object] | None]]:
    """Yield the value and, should that fail, the value without the message at the head of what waits.

    That message is tried with every event, so one that can't be dealt with would bring down all of them.
    """
    yield value, None
    if value.waiting:
        head = value.waiting[0]
        if isinstance(value, Conversation):
            yield replace(value, waiting=value.waiting[1:]), head
        else:
            yield replace(value, waiting=value.waiting[1:]), head


class Worlds(Protocol):
    """Where a visit gets its surroundings from; `took` is told when an id has been given out."""

    def world(self) -> World:
        """Return the surroundings of the next step."""
        ...

    def took(self, platform_chat_id: str) -> None:
        """Never give this `platform_chat_id` out again."""
        ...

    def prefers(self, user_id: UserId, preferences: Preferences) -> None:
        """Let a user's choice hold from the next step on."""
        ...


@dataclass(slots=True)
class _Gathered:
    """The effects of one visit, sorted into what is committed and what follows."""

    cell: Cell
    finished: list[int] = field(default_factory=list)
    set_aside: list[tuple[int, str]] = field(default_factory=list)
    told: list[tuple[ActorKey, object]] = field(default_factory=list)
    orders: list[OutboxRow] = field(default_factory=list)
    dropped: list[Any] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    platform_chat_seq: int | None = None
    preferences: list[tuple[UserId, Preferences]] = field(default_factory=list)

    def add(self, effect: Effect, world: World, worlds: Worlds) -> None:
        """Put one effect where it belongs."""
        match effect:
            case Send(order=order, txn_id=txn_id, not_before=not_before, reports=reports):
                lane = getattr(order, "room_id", self.cell.key)
                self.orders.append(
                    OutboxRow(txn_id, lane, self.cell.key, order, reports, not_before, world.now)
                )
            case DropEdits(edits=edits):
                self.dropped.append(edits)
                self.orders = [
                    row
                    for row in self.orders
                    if not (getattr(row.order, "droppable", False) and row.order.edits == edits)  # type: ignore[union-attr]
                ]
            case Consume(seq=seq):
                self.finished.append(seq)
            case SetAside(seq=seq, reason=reason):
                self.set_aside.append((seq, reason))
            case Tell(actor=actor, event=event):
                self.told.append((actor, event))
            case Record():
                self.transitions.append(
                    Transition(
                        self.cell.key,
                        world.now,
                        effect.event,
                        effect.source,
                        effect.target,
                        effect.reason,
                        effect.report,
                    )
                )
            case SavePreferences(user_id=user_id, preferences=preferences):
                self.preferences.append((user_id, preferences))
                worlds.prefers(user_id, preferences)
            case TookPlatformChatId(platform_chat_id=taken):
                self.platform_chat_seq = int(taken)
                worlds.took(taken)
            case _:
                self.deferred.append(effect)

    def visit(self, after: Conversation | Household) -> Visit:
        """Return the visit, with those rows that it changed."""
        room = turn = turn_ended = user = None
        before = self.cell.value
        if isinstance(after, Conversation) and isinstance(before, Conversation):
            room = after.room if after.room != before.room else None
            turn = after.turn if after.turn is not None and _kept(after) != _kept(before) else None
            ended = before.turn is not None and after.turn is None
            turn_ended = after.room.room_id if ended else None
        elif isinstance(after, Household) and isinstance(before, Household):
            user = after.user if after.user != before.user else None
        writes = Writes(
            room=room,
            turn=turn,
            turn_ended=turn_ended,
            user=user,
            finished=tuple(self.finished),
            set_aside=tuple(self.set_aside),
            told=tuple(self.told),
            orders=tuple(self.orders),
            dropped_edits=tuple(self.dropped),
            transitions=tuple(self.transitions),
            platform_chat_seq=self.platform_chat_seq,
            preferences=tuple(self.preferences),
        )
        return Visit(self.cell, after, writes, tuple(self.deferred), tuple(self.taken))


def _is_full(value: Conversation | Household) -> bool:
    """Say whether what waits is enough for now.

    Never where it waits for something that may stand behind it in the inbox: the outcome of a step in
    the making of a chat, or the word that a room which was being made is whole.
    """
    if isinstance(value, Household) or value.room.state in ("unregistered", "reconciling"):
        return False
    return len(value.waiting) >= WINDOW


def _kept(value: Conversation) -> object:
    """Return what is stored of a turn, to tell whether it has to be stored again."""
    turn = value.turn
    if turn is None:
        return None
    return (turn.turn_id, turn.state, turn.tries, turn.retry_at, turn.fault, turn.reply)


def _where(error: BaseException) -> str:
    """Return file and line of a fault; never a message, which may quote what somebody wrote."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}"

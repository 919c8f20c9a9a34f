"""A cell is an actor that is awake: its rows in memory, what waits for it, and one visit to it.

A visit takes what happened to the actor, a bounded number of events, through the pure decision (`deciding`),
and returns what to commit and what to do afterwards. The cell itself changes only when the visit is committed
(`settle`); a visit whose commit fails leaves it to be loaded again.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from actors.deciding import Actor, decide
from actors.outbox import LANE_FULL
from actors.queues import Queues
from actors.visits import Deferred, Gathered, Worlds
from machines.chats import ChatSummary
from machines.conversation import Conversation
from machines.facts import FileArrived, MalformedArrived, MessageArrived
from machines.happenings import AgentDone, AgentOutput, AnswerTooLong, MessageBehind
from machines.household import Household
from machines.ids import ActorKey, RoomId, UserId
from machines.priority import Priority
from machines.room import Room
from machines.user import User
from store.records import InboxRow, RoomRows, UserRows, Writes

EVENTS_A_VISIT = 16
WINDOW = 64
"""How many messages may wait in a conversation, or requests of a user; what comes behind them stays in the inbox."""


class Visit(Struct):
    """What one visit came to: the writes of its transaction, and what follows the commit."""

    cell: "Cell"
    after: Actor
    writes: Writes
    deferred: tuple[Deferred, ...]
    taken: tuple[int, ...]
    """Inbox rows that were taken in this visit; some of them may wait on inside the conversation."""


class Cell:
    """One awake actor. `told` is what needs no row: the words of an agent, and time.

    `orders_waiting` is how much is to be sent into the room, as the crank last knew it.
    """

    def __init__(self, key: ActorKey, rows: RoomRows | UserRows) -> None:
        self.key = key
        self.told: deque[object] = deque()
        self.inbox = Queues(rows.inbox)
        self.orders_waiting = 0
        self.value: Actor
        if isinstance(rows, RoomRows):
            self.value = Conversation(rows.room or Room(RoomId(key)), rows.turn)
        else:
            self.value = Household(rows.user or User(UserId(key)), rows.chats)

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Take in new inbox rows, in order.

        A room that is not bound hears of a message even if it can't be taken: it asks for a repair (contract C8).
        """
        for row in rows:
            self.inbox.deliver((row,))
            if isinstance(row.event, _MESSAGES) and self._is_full_and_not_bound:
                self.tell(MessageBehind(row.seq, row.event, row.received_at))

    @property
    def _is_full_and_not_bound(self) -> bool:
        value = self.value
        return _open_to(value, 0) == _EVENTS and isinstance(value, Conversation)

    def tell(self, event: object) -> None:
        """Take in what needs no row; of an answer, and of messages that can't be taken, only the newest counts."""
        newest = self.told[-1] if self.told else None
        if (
            isinstance(newest, AgentOutput)
            and isinstance(event, AgentOutput | AgentDone | AnswerTooLong)
            and (event.turn_id, event.attempt) == (newest.turn_id, newest.attempt)
        ) or (isinstance(newest, MessageBehind) and isinstance(event, MessageBehind)):
            self.told.pop()
        self.told.append(event)

    def see_chats(self, chats: tuple[ChatSummary, ...]) -> None:
        """Take in a user's chats as they are now: their rows are written by other actors."""
        if isinstance(self.value, Household):
            self.value = replace(self.value, chats=chats)

    @property
    def hungry(self) -> bool:
        """Whether there is something to take."""
        return bool(self.told) or self.can_take

    @property
    def can_take(self) -> bool:
        """Whether inbox rows wait that may be taken now."""
        return self.inbox.any_in(_open_to(self.value, self.orders_waiting))

    def to_read(self) -> tuple[tuple[Priority, int], ...]:
        """Return which rows have to be read before more can be taken: their priority, and after which row."""
        return tuple(self.inbox.to_read(_open_to(self.value, self.orders_waiting)))

    def feed(self, priority: Priority, rows: Sequence[InboxRow]) -> None:
        """Take in the next rows of a priority that were read from the database."""
        self.inbox.feed(priority, rows)

    @property
    def congested(self) -> bool:
        """Whether rows wait because too many orders do."""
        return bool(self.inbox) and self.orders_waiting >= LANE_FULL

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
        return self.caught_up and not (self.told or self.inbox)

    def due_at(self) -> float | None:
        """Return when it wants to be looked at next, if nothing happens before."""
        return self.value.due_at() if isinstance(self.value, Conversation) else None

    def visit(self, worlds: Worlds) -> Visit:
        """Take a bounded number of events: what was told first, then the inbox in order."""
        gathered = Gathered(self.key, self.value)
        taken: list[int] = []
        value = self.value
        for _ in range(EVENTS_A_VISIT):
            seq = 0
            received_at: float | None = None
            if self.told:
                event = self.told.popleft()
            elif (row := self.inbox.take(_open_to(value, self.orders_waiting))) is not None:
                event, seq, received_at = row.event, row.seq, row.received_at
                taken.append(seq)
            else:
                break
            world = worlds.world()
            value, effects = decide(self.key, value, event, seq, world, received_at)
            for effect in effects:
                gathered.add(effect, world, worlds)
        writes = gathered.writes(value)
        return Visit(self, value, writes, tuple(gathered.deferred), tuple(taken))

    def settle(self, visit: Visit) -> None:
        """The visit is committed: its outcome is what the actor is now."""
        self.value = visit.after
        if _open_to(self.value, 0) == _EVENTS:
            # It may stay so for hours, and there may be many such rooms.
            self.inbox.let_go(_ALL - _EVENTS)


_MESSAGES = (MessageArrived, FileArrived, MalformedArrived)
_ALL = frozenset(Priority)
_BUT_MESSAGES = frozenset((Priority.EVENT, Priority.COMMAND))
_EVENTS = frozenset((Priority.EVENT,))


def _open_to(value: Actor, orders_waiting: int) -> frozenset[Priority]:
    """Return what may be taken now: all, or what makes nothing wait where enough waits already.

    In a room that is not bound a command waits like a message.
    """
    if len(value.waiting) < WINDOW and orders_waiting < LANE_FULL:
        return _ALL
    bound = isinstance(value, Conversation) and value.room.state == "bound"
    return _BUT_MESSAGES if bound and orders_waiting < 2 * LANE_FULL else _EVENTS

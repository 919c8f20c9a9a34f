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
from actors.visits import Deferred, Gathered, Worlds
from machines.conversation import Conversation
from machines.happenings import AgentDone, AgentGrew, ChatSummary
from machines.household import Household
from machines.ids import ActorKey, RoomId, UserId
from machines.room import Room
from machines.user import User
from store.records import InboxRow, RoomRows, UserRows, Writes
from store.units import READ_AHEAD

EVENTS_A_VISIT = 16
WINDOW = 64
"""How many messages may wait in a conversation; what comes behind them stays in the inbox."""
HELD = 256
"""How many inbox rows a cell holds; what comes behind them is read from the database again."""


class Visit(Struct):
    """What one visit came to: the writes of its transaction, and what follows the commit."""

    cell: "Cell"
    after: Actor
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
        self.value: Actor
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
        """Take in what needs no row; an answer that has grown or is done takes the place of what it was before."""
        newest = self.told[-1] if self.told else None
        if (
            isinstance(newest, AgentGrew)
            and isinstance(event, AgentGrew | AgentDone)
            and (event.turn_id, event.attempt) == (newest.turn_id, newest.attempt)
        ):
            self.told.pop()
        self.told.append(event)

    def see_chats(self, chats: tuple[ChatSummary, ...]) -> None:
        """Take in a user's chats as they are now: their rows are written by other actors."""
        if isinstance(self.value, Household):
            self.value = replace(self.value, chats=chats)

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

    def visit(self, worlds: Worlds) -> Visit:
        """Take a bounded number of events: what was told first, then the inbox in order."""
        gathered = Gathered(self.key, self.value)
        taken: list[int] = []
        value = self.value
        for _ in range(EVENTS_A_VISIT):
            seq: int | None = None
            received_at: float | None = None
            if self.told:
                event = self.told.popleft()
            elif self.inbox and not _is_full(value):
                row = self.inbox.popleft()
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


def _is_full(value: Actor) -> bool:
    """Say whether what waits is enough for now.

    Never where it waits for something that may stand behind it in the inbox: the outcome of a step in
    the making of a chat, or the word that a room which was being made is whole.
    """
    if isinstance(value, Household) or value.room.state in ("unregistered", "reconciling"):
        return False
    return len(value.waiting) >= WINDOW

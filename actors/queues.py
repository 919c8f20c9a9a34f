"""What waits for one actor: its inbox rows, the first of them in memory, the rest in the database.

There is a queue for each priority, so that what need not wait is found however much waits before it. Rows of
one queue are taken in order, and so are rows of all queues that are open.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from machines.priority import Priority
from store.inbox import READ_AHEAD
from store.records import InboxRow

HELD = 256
"""How many inbox rows a queue holds; what comes behind them is read from the database again."""


class Queue:
    """The rows of one priority."""

    __slots__ = ("last_seq", "more_stored", "passed_over", "rows")

    def __init__(self) -> None:
        self.rows: deque[InboxRow] = deque()
        self.more_stored = False
        self.last_seq = 0
        self.passed_over = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.rows) or self.more_stored

    @property
    def more_to_read(self) -> bool:
        """Whether the next rows have to be read from the database."""
        return self.more_stored and not self.rows

    def deliver(self, row: InboxRow) -> None:
        """Take in a new row; one that there is no room for is read again later."""
        if row.seq <= self.last_seq:
            return
        if self.more_stored or len(self.rows) >= HELD:
            self.more_stored = True
            self.passed_over = row.seq
            return
        self.rows.append(row)
        self.last_seq = row.seq

    def feed(self, rows: Sequence[InboxRow]) -> None:
        """Take in the next rows that were read from the database.

        A row that was passed over meanwhile may have been committed after they were read.
        """
        self.more_stored = False
        for row in rows:
            self.deliver(row)
        self.more_stored = len(rows) >= READ_AHEAD or self.passed_over > self.last_seq

    def let_go(self) -> None:
        """Leave all rows to the database, where nothing will be taken for long."""
        if self.rows:
            self.passed_over = max(self.passed_over, self.last_seq)
            self.last_seq = self.rows[0].seq - 1
            self.more_stored = True
            self.rows.clear()


class Queues:
    """All that waits for one actor. Which queues are open is for the actor to say, each time."""

    def __init__(self, loaded: Sequence[InboxRow]) -> None:
        self._queues: dict[Priority, Queue] = {}
        self.deliver(loaded)
        for priority, queue in self._queues.items():
            queue.more_stored = sum(row.priority == priority for row in loaded) >= READ_AHEAD

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return any(self._queues.values())

    def deliver(self, rows: Iterable[InboxRow]) -> None:
        """Take in new rows, in order."""
        for row in rows:
            self._of(row.priority).deliver(row)

    def feed(self, priority: Priority, rows: Sequence[InboxRow]) -> None:
        """Take in the next rows of a queue that were read from the database."""
        self._of(priority).feed(rows)

    def to_read(self, open_to: AbstractSet[Priority]) -> Iterator[tuple[Priority, int]]:
        """Yield the open queues whose next rows have to be read, with the number after which."""
        for priority in open_to:
            queue = self._queues.get(priority)
            if queue is not None and queue.more_to_read:
                yield priority, queue.last_seq

    def any_in(self, open_to: AbstractSet[Priority]) -> bool:
        """Whether anything waits in the open queues."""
        return any(queue for priority, queue in self._queues.items() if priority in open_to)

    def held(self, priority: Priority) -> int:
        """Return how many rows of a queue are in memory."""
        queue = self._queues.get(priority)
        return len(queue.rows) if queue is not None else 0

    def take(self, open_to: AbstractSet[Priority]) -> InboxRow | None:
        """Return the first row of the open queues; none before all of them are read as far as that."""
        first: Queue | None = None
        for priority, queue in self._queues.items():
            if priority not in open_to:
                continue
            if queue.more_to_read:
                return None
            if queue.rows and (first is None or queue.rows[0].seq < first.rows[0].seq):
                first = queue
        return first.rows.popleft() if first is not None else None

    def let_go(self, priorities: AbstractSet[Priority]) -> None:
        """Leave the rows of these priorities to the database."""
        for priority in priorities & self._queues.keys():
            self._queues[priority].let_go()

    def _of(self, priority: Priority) -> Queue:
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = Queue()
        return queue

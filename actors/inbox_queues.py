"""The inbox rows of one actor: the first of them in memory, the rest in the database.

There is one queue for each priority, so that an urgent row is found behind any number of others. Rows are handled in
order within a queue, and in order across all open queues.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from machines.events.matrix import MessageDeleted, MessageEdited
from machines.events.priority import Priority
from machines.room.revision import revise
from machines.room.step_draft import Message
from store.inbox import READ_AHEAD
from store.records import InboxRow

MAX_LOADED = 256
"""Maximum number of rows in memory per queue; further rows are read from the database later."""


class InboxQueue:
    """The rows of one priority."""

    __slots__ = ("last_seq", "more_stored", "rows", "skipped_seq")

    def __init__(self) -> None:
        self.rows: deque[InboxRow] = deque()
        self.more_stored = False
        self.last_seq = 0
        self.skipped_seq = 0

    def __bool__(self) -> bool:
        """Whether there are rows."""
        return bool(self.rows) or self.more_stored

    @property
    def more_to_read(self) -> bool:
        """Whether the next rows must be read from the database."""
        return self.more_stored and not self.rows

    def deliver(self, row: InboxRow) -> None:
        """Add a new row; if the queue is full, it is read from the database later."""
        if row.seq <= self.last_seq:
            return
        if self.more_stored or len(self.rows) >= MAX_LOADED:
            self.more_stored = True
            self.skipped_seq = row.seq
            return
        self.rows.append(row)
        self.last_seq = row.seq

    def add_page(self, rows: Sequence[InboxRow]) -> None:
        """Add the next rows that were read from the database.

        A row that was skipped meanwhile may have been committed after that read.
        """
        self.more_stored = False
        for row in rows:
            self.deliver(row)
        self.more_stored = len(rows) >= READ_AHEAD or self.skipped_seq > self.last_seq

    def change_message(self, change: MessageEdited | MessageDeleted) -> None:
        """Edit or remove the row of a message; in the database this is done already (contract D17)."""
        for index, row in enumerate(self.rows):
            if isinstance(row.event, Message) and row.event.event_id == change.target:
                if isinstance(change, MessageEdited):
                    self.rows[index] = replace(row, event=revise(row.event, change))
                else:
                    del self.rows[index]
                return

    def unload(self) -> None:
        """Drop all rows from memory; they are read again when they can be handled."""
        if self.rows:
            self.skipped_seq = max(self.skipped_seq, self.last_seq)
            self.last_seq = self.rows[0].seq - 1
            self.more_stored = True
            self.rows.clear()


class InboxQueues:
    """All queues of one actor. The caller passes the open priorities each time."""

    def __init__(self, loaded: Sequence[InboxRow]) -> None:
        self.queues: defaultdict[Priority, InboxQueue] = defaultdict(InboxQueue)
        for row in loaded:
            self.deliver(row)
        for priority, queue in self.queues.items():
            queue.more_stored = sum(row.priority == priority for row in loaded) >= READ_AHEAD

    def __bool__(self) -> bool:
        """Whether there are rows."""
        return any(self.queues.values())

    def deliver(self, row: InboxRow) -> None:
        """Add a new row; rows must be added in order."""
        self.queues[row.priority].deliver(row)

    def add_page(self, priority: Priority, rows: Sequence[InboxRow]) -> None:
        """Add the next rows of a queue that were read from the database."""
        self.queues[priority].add_page(rows)

    def queues_to_read(
        self, open_priorities: AbstractSet[Priority]
    ) -> Iterator[tuple[Priority, int]]:
        """Yield the open queues whose next rows must be read, each with the `seq` after which to read."""
        for priority, queue in self.queues.items():
            if priority in open_priorities and queue.more_to_read:
                yield priority, queue.last_seq

    def has_rows(self, open_priorities: AbstractSet[Priority]) -> bool:
        """Whether the open queues have rows."""
        return any(queue for priority, queue in self.queues.items() if priority in open_priorities)

    def pop(self, open_priorities: AbstractSet[Priority]) -> InboxRow | None:
        """Return the first row of the open queues; `None` if one of them must be read first."""
        first: InboxQueue | None = None
        for priority, queue in self.queues.items():
            if priority not in open_priorities:
                continue
            if queue.more_to_read:
                return None
            if queue.rows and (first is None or queue.rows[0].seq < first.rows[0].seq):
                first = queue
        return first.rows.popleft() if first is not None else None

    def change_message(self, change: MessageEdited | MessageDeleted) -> None:
        """Edit or remove the row of a message, if it is in memory."""
        for queue in self.queues.values():
            queue.change_message(change)

    def unload(self, priorities: AbstractSet[Priority]) -> None:
        """Drop the rows of these priorities from memory."""
        for priority in priorities & self.queues.keys():
            self.queues[priority].unload()

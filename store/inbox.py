"""The inbox: what is put into it, how much may wait there, and what waits, by priority.

What waits for one actor is bounded (contract D14): beyond the bound a message is set aside without its content, and
the room gets one notice, until half of what waited is dealt with. Events are not bounded, because nothing waits for
them. Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from machines.events.internal import (
    ChatListRequested,
    MessageDropped,
    NewChatRequested,
    OnboardingRequested,
    QueueOverflowed,
)
from machines.events.matrix import (
    FileArrived,
    MatrixEvent,
    MessageArrived,
    Quarantined,
)
from machines.events.priority import Priority, priority_of
from machines.events.tags import tag_of
from machines.ids import ActorKey, EventId, UserId
from store import quarantine
from store.codec import dump, read_event
from store.errors import UnitRefused
from store.queries import SQL
from store.records import InboxRow

READ_AHEAD = 64
"""How many waiting inbox rows are read for one actor at a time; the rest stays in the database."""
WAITING_HIGH = 10_000
"""How many messages, and how many commands, may wait for one actor; further ones are set aside."""
WAITING_LOW = 5_000
"""When fewer than this are left, messages are accepted again."""


def put_facts(
    raw: sqlite3.Connection, facts: Iterable[MatrixEvent], at: float
) -> tuple[InboxRow, ...]:
    """Put Matrix events into the inboxes of their rooms; returns the rows that are new and wait.

    One that can't be stored is quarantined: it must not hold up the sync token and the rest of the sync.
    """
    inbox = _Inbox(raw, at)
    rows: list[InboxRow] = []
    for fact in facts:
        event_id = getattr(fact, "event_id", None)
        if isinstance(fact, MessageArrived | FileArrived) and fact.replies_to is not None:
            fact = _addressed(raw, fact)
        try:
            rows += inbox.put(ActorKey(fact.room_id), fact, event_id)
        except (UnitRefused, UnicodeEncodeError) as error:
            reason = f"{tag_of(fact)} can't be kept: {type(error).__name__}"
            quarantine.keep(raw, (Quarantined("sync", None, None, reason),), at)
    return tuple(rows)


def _addressed(
    raw: sqlite3.Connection, fact: MessageArrived | FileArrived
) -> MessageArrived | FileArrived:
    """Mark a reply to an event that the outbox knows as addressed to the bot."""
    known = {"event_id": fact.replies_to, "room_id": fact.room_id}
    own = raw.execute(SQL["is_own_event"], known).fetchone() is not None
    return replace(fact, addressed=True) if own else fact


def tell(
    raw: sqlite3.Connection, told: Iterable[tuple[ActorKey, Struct]], at: float
) -> tuple[InboxRow, ...]:
    """Put internal events into inboxes; returns the rows that wait."""
    inbox = _Inbox(raw, at)
    return tuple(row for actor, event in told for row in inbox.put(actor, event))


class _Queue(Struct):
    """How much waits for an actor in one priority, and whether its overflow was reported."""

    waiting: int
    overflowing: bool


class _Inbox:
    """The inbox in one transaction; it counts each queue once."""

    def __init__(self, raw: sqlite3.Connection, at: float) -> None:
        self._raw = raw
        self._at = at
        self._queues: dict[tuple[ActorKey, Priority], _Queue] = {}
        self._owners: dict[ActorKey, UserId | None] = {}
        self._rooms_reported: set[ActorKey] = set()

    def put(
        self, actor: ActorKey, event: Struct, event_id: EventId | None = None
    ) -> tuple[InboxRow, ...]:
        """Put an event into an inbox; returns the rows that wait because of it."""
        priority = priority_of(event, self._owner(actor) if event_id is not None else None)
        if priority == Priority.EVENT:
            return self._insert(actor, event, event_id, priority)
        queue = self._queue(actor, priority)
        if not queue.overflowing and queue.waiting < WAITING_HIGH:
            rows = self._insert(actor, event, event_id, priority)
            queue.waiting += len(rows)
            return rows
        reason = f"{queue.waiting} messages waited here already"
        if not self._insert(actor, event, event_id, priority, set_aside=reason):
            return ()
        if queue.overflowing:
            return self._report_dropped(actor, event)
        queue.overflowing = True
        overflow = {"actor": actor, "priority": priority, "at": self._at}
        self._raw.execute(SQL["put_overflow"], overflow)
        room, first = actor, event_id
        if isinstance(event, OnboardingRequested | NewChatRequested | ChatListRequested):
            room, first = ActorKey(event.reply_to.room_id), event.reply_to.event_id
        return self.put(room, QueueOverflowed(queue.waiting, first))

    def _report_dropped(self, actor: ActorKey, event: Struct) -> tuple[InboxRow, ...]:
        """Report a dropped message to a failed room, once a transaction: its next repair is earlier (contract C8)."""
        if not isinstance(event, MessageArrived | FileArrived) or actor in self._rooms_reported:
            return ()
        self._rooms_reported.add(actor)
        failed = self._raw.execute(SQL["is_failed_and_told"], {"room_id": actor}).fetchone()
        return self.put(actor, MessageDropped(event.sender)) if failed is not None else ()

    def _queue(self, actor: ActorKey, priority: Priority) -> _Queue:
        queue = self._queues.get((actor, priority))
        if queue is None:
            key = {"actor": actor, "priority": priority}
            row = self._raw.execute(SQL["queue"], {**key, "most": WAITING_HIGH}).fetchone()
            queue = _Queue(row["waiting"], bool(row["overflowing"]))
            if queue.overflowing and queue.waiting < WAITING_LOW:
                self._raw.execute(SQL["end_overflow"], key)
                queue.overflowing = False
            self._queues[actor, priority] = queue
        return queue

    def _owner(self, actor: ActorKey) -> UserId | None:
        """Return the owner of a chat, `None` where the room is no chat or not known."""
        if actor not in self._owners:
            row = self._raw.execute(SQL["chat_owner"], {"room_id": actor}).fetchone()
            self._owners[actor] = UserId(row[0]) if row is not None and row[0] else None
        return self._owners[actor]

    def _insert(
        self,
        actor: ActorKey,
        event: Struct,
        event_id: EventId | None,
        priority: Priority,
        set_aside: str = "",
    ) -> tuple[InboxRow, ...]:
        """Insert a row that waits, or one without content that is set aside; a known event id makes no row."""
        cursor = self._raw.execute(
            SQL["put_inbox"],
            {
                "actor": actor,
                "kind": tag_of(event),
                "event_id": event_id,
                "payload": "" if set_aside else dump(event),
                "priority": priority,
                "status": "set_aside" if set_aside else "waiting",
                "reason": set_aside,
                "received_at": self._at,
            },
        )
        if cursor.rowcount == 0 or cursor.lastrowid is None:
            return ()
        return (InboxRow(cursor.lastrowid, actor, event, priority, self._at),)


def first_waiting(raw: sqlite3.Connection, actor: ActorKey) -> tuple[InboxRow, ...]:
    """Return the first waiting rows of an actor: of each priority at most `READ_AHEAD`, in order."""
    cursor = raw.execute(SQL["first_waiting"], {"actor": actor, "limit": READ_AHEAD})
    rows = tuple(_inbox_row(actor, row) for row in cursor)
    if len(rows) < READ_AHEAD:
        return rows
    return tuple(row for priority in Priority for row in waiting(raw, actor, priority, 0))


def waiting(
    raw: sqlite3.Connection, actor: ActorKey, priority: Priority, after: int
) -> tuple[InboxRow, ...]:
    """Return the next waiting rows of one priority behind the row `after`, at most `READ_AHEAD`."""
    behind = {"actor": actor, "priority": priority, "after": after, "limit": READ_AHEAD}
    return tuple(_inbox_row(actor, row) for row in raw.execute(SQL["waiting_inbox"], behind))


def _inbox_row(actor: ActorKey, row: sqlite3.Row) -> InboxRow:
    event = read_event(row["payload"])
    return InboxRow(row["seq"], actor, event, Priority(row["priority"]), row["received_at"])

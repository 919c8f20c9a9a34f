"""The inbox: inserts events within the bounds of each queue, and reads the waiting rows by priority.

The queues of an actor are bounded (contract D14). Beyond the bound a message becomes a dead letter without content, and
the room gets one notice; messages are accepted again when half of the queue is handled. Events are not bounded, because
an actor can always handle them. Every function runs on the connection's thread, inside the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from machines.events.internal import (
    MessageDropped,
    QueueOverflowed,
    UserRequest,
)
from machines.events.matrix import (
    FileArrived,
    LastMessageShown,
    MatrixEvent,
    MessageArrived,
    MessageDeleted,
    MessageEdited,
    Quarantined,
    UnsupportedArrived,
)
from machines.events.priority import Priority, priority_of
from machines.events.tags import tag_of
from machines.ids import ActorKey, EventId, UserId
from machines.room.revision import revise
from machines.room.step_draft import Message
from store import quarantine
from store.codec import dump, read_event
from store.errors import UnitRefused
from store.queries import SQL
from store.records import InboxRow

READ_AHEAD = 64
"""How many waiting inbox rows are read for one actor at a time; the others stay in the database."""
WAITING_HIGH = 10_000
"""How many messages, and how many commands, may wait for one actor; further ones become dead letters."""
WAITING_LOW = 5_000
"""Below this number, messages are accepted again."""
_REPLIES = (MessageArrived, FileArrived, UnsupportedArrived)
"""The messages that may be replies to others."""


def put_matrix_events(
    raw: sqlite3.Connection, events: Iterable[MatrixEvent], at: float
) -> tuple[InboxRow, ...]:
    """Insert Matrix events into the inboxes of their rooms; returns the new waiting rows.

    An event that can't be stored is quarantined, so that it does not block the sync. An edit or a deletion changes the
    waiting row of its message here (contract D17); one that has no effect any more is not stored.
    """
    inbox = _Inbox(raw, at)
    rows: list[InboxRow] = []
    for event in events:
        event_id = getattr(event, "event_id", None)
        if isinstance(event, _REPLIES) and event.replies_to is not None:
            event = _addressed(raw, event)
        if isinstance(event, LastMessageShown) and not _has_open_message(raw, event):
            continue
        try:
            if isinstance(event, MessageEdited | MessageDeleted) and not _change(raw, rows, event):
                continue
            rows += inbox.put(ActorKey(event.room_id), event, event_id)
        except (UnitRefused, UnicodeEncodeError) as error:
            reason = f"{tag_of(event)} can't be saved: {type(error).__name__}"
            quarantine.add(raw, (Quarantined("sync", None, None, reason),), at)
    return tuple(rows)


def _change(
    raw: sqlite3.Connection, new_rows: list[InboxRow], change: MessageEdited | MessageDeleted
) -> bool:
    """Apply a change to the waiting row of its message, also to the new one; whether it concerns the room's actor."""
    key = {"event_id": change.target, "actor": change.room_id}
    row = raw.execute(SQL["waiting_message"], key).fetchone()
    if row is None:
        # The turn of the message has begun, or there is no such message.
        turn = raw.execute(SQL["is_turn"], {"turn_id": change.target, "room_id": change.room_id})
        return isinstance(change, MessageDeleted) and turn.fetchone() is not None
    seq = row["seq"]
    if isinstance(change, MessageDeleted):
        raw.execute(SQL["ack_inbox"], {"seq": seq})
        new_rows[:] = [each for each in new_rows if each.seq != seq]
        return True
    message = read_event(row["payload"])
    revised = revise(message, change) if isinstance(message, Message) else message
    if revised == message:
        return False
    raw.execute(SQL["replace_message"], {"seq": seq, "payload": dump(revised)})
    for index, each in enumerate(new_rows):
        if each.seq == seq:
            new_rows[index] = replace(each, event=revised)
    return True


def _addressed(
    raw: sqlite3.Connection, event: MessageArrived | FileArrived | UnsupportedArrived
) -> MessageArrived | FileArrived | UnsupportedArrived:
    """Mark a reply to an event that the outbox knows as addressed to the bot."""
    key = {"event_id": event.replies_to, "room_id": event.room_id}
    own = raw.execute(SQL["is_own_event"], key).fetchone() is not None
    return replace(event, addressed=True) if own else event


def _has_open_message(raw: sqlite3.Connection, shown: LastMessageShown) -> bool:
    """Whether a message of the room, besides the one that is answered, is still to be answered."""
    key = {"room_id": shown.room_id, "answers": shown.answers}
    return raw.execute(SQL["has_open_message"], key).fetchone() is not None


def put_internal_events(
    raw: sqlite3.Connection, events: Iterable[tuple[ActorKey, Struct]], at: float
) -> tuple[InboxRow, ...]:
    """Insert internal events into inboxes; returns the new waiting rows."""
    inbox = _Inbox(raw, at)
    return tuple(row for actor, event in events for row in inbox.put(actor, event))


class _Queue(Struct):
    """The number of waiting rows of an actor and a priority, and whether its overflow was reported."""

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
        """Insert an event into an inbox; returns the waiting rows that this adds."""
        priority = priority_of(event, self._owner(actor) if event_id is not None else None)
        if priority == Priority.EVENT:
            return self._insert(actor, event, event_id, priority)
        queue = self._queue(actor, priority)
        if not queue.overflowing and queue.waiting < WAITING_HIGH:
            rows = self._insert(actor, event, event_id, priority)
            queue.waiting += len(rows)
            return rows
        reason = f"{queue.waiting} messages waited here already"
        if not self._insert(actor, event, event_id, priority, dead_letter_reason=reason):
            return ()
        if queue.overflowing:
            return self._report_dropped(actor, event)
        queue.overflowing = True
        overflow = {"actor": actor, "priority": priority, "at": self._at}
        self._raw.execute(SQL["put_overflow"], overflow)
        room, first = actor, event_id
        if isinstance(event, UserRequest):
            room, first = ActorKey(event.reply_to.room_id), event.reply_to.event_id
        return self.put(room, QueueOverflowed(queue.waiting, first))

    def _report_dropped(self, actor: ActorKey, event: Struct) -> tuple[InboxRow, ...]:
        """Report a dropped message to a failed room, once per transaction: this makes its next repair earlier (C8)."""
        if not isinstance(event, _REPLIES) or actor in self._rooms_reported:
            return ()
        self._rooms_reported.add(actor)
        failed = self._raw.execute(SQL["is_failed_and_reported"], {"room_id": actor}).fetchone()
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
        """Return the owner of a chat; `None` if the room is no chat or is unknown."""
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
        dead_letter_reason: str = "",
    ) -> tuple[InboxRow, ...]:
        """Insert a waiting row, or a dead letter without content; an event id that is known adds no row."""
        cursor = self._raw.execute(
            SQL["put_inbox"],
            {
                "actor": actor,
                "kind": tag_of(event),
                "event_id": event_id,
                "payload": "" if dead_letter_reason else dump(event),
                "priority": priority,
                "status": "set_aside" if dead_letter_reason else "waiting",
                "reason": dead_letter_reason,
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
    """Return the next waiting rows of one priority after the row `after`, at most `READ_AHEAD`."""
    key = {"actor": actor, "priority": priority, "after": after, "limit": READ_AHEAD}
    return tuple(_inbox_row(actor, row) for row in raw.execute(SQL["waiting_inbox"], key))


def _inbox_row(actor: ActorKey, row: sqlite3.Row) -> InboxRow:
    event = read_event(row["payload"])
    return InboxRow(row["seq"], actor, event, Priority(row["priority"]), row["received_at"])

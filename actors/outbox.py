"""The outbox: performs committed orders, strictly in order within a lane, many lanes concurrently.

A lane is a room, or a user for an order without a room. The next order of a lane starts when the one before it is
done: messages arrive in the order of their decisions, and an edit knows the event that it replaces. An order stays
in its row until its outcome is committed (`outcomes`); a crash before that repeats it with the same transaction id,
which the homeserver recognises (contract D1).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

import anyio
from msgspec.structs import replace

from actors.outcomes import Outcomes
from actors.ports import Clock, Homeserver
from actors.task_pool import TaskPool
from machines.events.orders import (
    CreateRoom,
    Done,
    EnsureInvited,
    Order,
    Outcome,
    RedactMessage,
    Refused,
    SendMessage,
)
from machines.ids import EventId, RoomId, TxnId, UserId
from machines.turn.reply import EDIT_INTERVAL_S, LONGEST_ORDER_WAIT_S
from store import Journal
from store.records import InboxRow, OutboxRow

MAX_CONCURRENT_REQUESTS = 100
LANE_FULL = 256
"""With this many orders pending in a lane, its room handles no more messages; with twice as many, no more commands.
So an answer is not computed long before it can be sent."""
LANE_LOW = 128
"""When only this many orders are left, the room handles messages again."""
MAX_CACHED_EDIT_TIMES = 4096
"""Maximum number of cached last-edit times."""
TXN_ID_LIFETIME_S = 20 * 3600.0
"""The homeserver drops a transaction id after 24 h. An older message is searched in the room before it is sent."""


class Outbox:
    """Performs orders, each lane in its own task."""

    def __init__(
        self,
        homeserver: Homeserver,
        journal: Journal,
        clock: Clock,
        task_pool: TaskPool,
        *,
        deliver: Callable[[Iterable[InboxRow]], None],
        on_reply_sent: Callable[[RoomId, EventId], None],
        on_lane_low: Callable[[str], None],
        allows: Callable[[UserId], bool],
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._task_pool = task_pool
        self._on_reply_sent = on_reply_sent
        self._on_lane_low = on_lane_low
        self._allows = allows
        self._lanes: dict[str, deque[OutboxRow]] = {}
        self._last_edit_at: OrderedDict[TxnId, float] = OrderedDict()
        self._limit = anyio.Semaphore(MAX_CONCURRENT_REQUESTS, fast_acquire=True)
        self._outcomes = Outcomes(journal, clock, task_pool, deliver)
        self._empty = anyio.Event()

    async def recover(self) -> None:
        """Load the orders that an earlier process left."""
        fresh = self._clock.now() - TXN_ID_LIFETIME_S
        self.enqueue([_repeated(row) for row in await self._journal.waiting_orders(fresh)], ())

    def enqueue(
        self, rows: Iterable[OutboxRow], dropped: Iterable[str] = (), lane_of_dropped: str = ""
    ) -> None:
        """Add committed orders, and drop intermediate edits that the same commit removed.

        `dropped` are the transaction ids of messages with removed edits, all of one room.
        """
        for txn_id in dropped:
            self._drop(lane_of_dropped, txn_id)
        for row in rows:
            lane = self._lanes.get(row.lane)
            if lane is None:
                self._lanes[row.lane] = deque((row,))
                self._task_pool.start(self._run_lane, row.lane)
            else:
                lane.append(row)

    def pending_in(self, lane: str) -> int:
        """Return the number of pending orders of a lane; `on_lane_low` is called when it has become low."""
        return len(self._lanes.get(lane, ()))

    def has_message_in(self, lane: str) -> bool:
        """Whether a new message is pending in a lane; an edit is none."""
        return any(is_new_message(row.order) for row in self._lanes.get(lane, ()))

    async def flush(self) -> None:
        """Return when every lane is empty and all outcomes are committed."""
        while self._lanes:
            self._empty = anyio.Event()
            await self._empty.wait()
        await self._outcomes.flush()

    def _drop(self, name: str, txn_id: str) -> None:
        lane = self._lanes.get(name, ())
        # The first order may be in a request already.
        for row in list(lane)[1:]:
            if (
                isinstance(row.order, SendMessage)
                and row.order.droppable
                and row.order.edits == txn_id
            ):
                self._lanes[name].remove(row)

    async def _run_lane(self, name: str) -> None:
        lane = self._lanes[name]
        while lane:
            row = lane[0]
            wait_s = self._wait_s(row)
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            async with self._limit:
                outcome = await self._perform(row)
            self._record_edit_time(row)
            self._outcomes.add(row, outcome)
            lane.popleft()
            if len(lane) in (LANE_LOW, LANE_FULL):
                self._on_lane_low(name)
            if not lane and isinstance(outcome, Done):
                self._report_reply(row)
        del self._lanes[name]
        self._on_lane_low(name)
        if not self._lanes:
            self._empty.set()

    def _wait_s(self, row: OutboxRow) -> float:
        """Return how long an order must wait; the wait is bounded, in case the clock was ahead (contract D16)."""
        now = self._clock.now()
        wait_s = min(row.not_before - now, LONGEST_ORDER_WAIT_S)
        return max(wait_s, self._edit_due_at(row.order) - now)

    def _edit_due_at(self, order: Order) -> float:
        """Return the earliest time of an edit; only the outbox knows when the text before it was accepted."""
        if not isinstance(order, SendMessage) or order.edits is None:
            return 0.0
        return self._last_edit_at.get(order.edits, 0.0) + EDIT_INTERVAL_S

    async def _perform(self, row: OutboxRow) -> Outcome:
        order = await self._resolve(row.order)
        if order is None:
            return Refused("not_found", "", "the message to change was never sent")
        invited = _invited_user(order)
        if invited is not None and not self._allows(invited):
            # The order may be older than the present access rules (contract E3).
            return Refused("forbidden", "", f"{invited} may not talk to the bot")
        if row.txn_id_expired and isinstance(order, SendMessage) and order.edits is None:
            found = await self._homeserver.find_sent(order, row.created_at)
            if found is not None:
                return Done(found)
        return await self._homeserver.perform(order, row.txn_id)

    async def _resolve(self, order: Order) -> Order | None:
        """Fill in the event id of an edit or a redaction; `None` if the message to change was never sent."""
        if isinstance(order, SendMessage) and order.edits is not None and not order.edits_event_id:
            event_id = await self._outcomes.event_id_of(order.edits)
            return replace(order, edits_event_id=event_id) if event_id else None
        if isinstance(order, RedactMessage) and order.redacts_event_id is None:
            event_id = await self._outcomes.event_id_of(order.redacts)
            return replace(order, redacts_event_id=event_id) if event_id else None
        return order

    def _record_edit_time(self, row: OutboxRow) -> None:
        if isinstance(row.order, SendMessage) and row.order.partial and not row.order.quiet:
            self._last_edit_at[row.order.edits or row.txn_id] = self._clock.now()
            if len(self._last_edit_at) > MAX_CACHED_EDIT_TIMES:
                self._last_edit_at.popitem(last=False)

    def _report_reply(self, row: OutboxRow) -> None:
        """Move the bot's read position after a whole reply (contract D12).

        This does not wait for the commit: the room shows the reply as soon as the homeserver has responded. A repeated
        reply is recognised by its transaction id or, if the database was lost, found in the room.
        """
        order = row.order
        if isinstance(order, SendMessage) and order.answers and not order.partial:
            self._on_reply_sent(order.room_id, order.answers)


def is_new_message(order: Order) -> bool:
    """Whether an order sends a message that is no edit."""
    return isinstance(order, SendMessage) and order.edits is None


def _invited_user(order: Order) -> UserId | None:
    """Return the user that an order invites, if it invites one."""
    if isinstance(order, CreateRoom):
        return order.invite
    return order.user_id if isinstance(order, EnsureInvited) else None


def _repeated(row: OutboxRow) -> OutboxRow:
    """Mark an order of an earlier process: it may have been sent before."""
    if isinstance(row.order, CreateRoom):
        return replace(row, order=replace(row.order, repeated=True))
    return row

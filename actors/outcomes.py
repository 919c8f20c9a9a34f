"""Outcomes of orders: known to their lane at once, committed in batches.

A lane continues as soon as the homeserver has responded. A crash before the commit repeats every order without a
committed outcome, in order and with the same transaction ids. So all outcomes that arrive during one commit are
saved by the next one, in one transaction with the events for their actors.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import anyio
import structlog

from actors.ports import Clock
from actors.task_pool import TaskPool
from machines.events.internal import OrderDone
from machines.events.orders import Done, Outcome, Refused
from machines.events.tags import tag_of
from machines.ids import EventId, TxnId, actor_field
from store import Journal
from store.errors import UnitRefused
from store.records import FinishedOrder, InboxRow, OutboxRow

MAX_CACHED_EVENT_IDS = 4096
"""Maximum number of cached event ids of sent messages; others are read from the database."""


class Outcomes:
    """Commits outcomes and delivers them to the actors that wait for them."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        task_pool: TaskPool,
        deliver: Callable[[Iterable[InboxRow]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._task_pool = task_pool
        self._deliver = deliver
        self._sent: OrderedDict[TxnId, EventId] = OrderedDict()
        self._finished: list[FinishedOrder] = []
        self._committing = False
        self._committed = anyio.Event()

    def add(self, row: OutboxRow, outcome: Outcome) -> None:
        """Add the outcome of an order; it is committed soon, together with others."""
        refusal = f"{outcome.errcode}: {outcome.reason}" if isinstance(outcome, Refused) else None
        event_id = outcome.event_id if isinstance(outcome, Done) else None
        if event_id is not None:
            self._sent[row.txn_id] = event_id
        report = None
        answered = getattr(row.order, "answers", None)
        if row.reports or refusal is not None:
            report = OrderDone(row.txn_id, outcome, answered)
        if refusal is not None:
            structlog.get_logger().warning(
                "order_refused",
                **actor_field(row.lane),
                **({"turn": answered} if answered else {}),
                order=tag_of(row.order),
                reason=refusal,
            )
        self._finished.append(FinishedOrder(row, event_id, refusal, report))
        if not self._committing:
            self._committing = True
            self._task_pool.start(self._commit)

    async def event_id_of(self, txn_id: TxnId) -> EventId | None:
        """Return the event id of a message, if it was sent."""
        return self._sent.get(txn_id) or await self._journal.sent_event_id(txn_id)

    async def flush(self) -> None:
        """Return when everything is committed."""
        while self._committing:
            self._committed = anyio.Event()
            await self._committed.wait()

    async def _commit(self) -> None:
        while self._finished:
            finished, self._finished = self._finished, []
            try:
                await self._save(finished)
            except UnitRefused:
                await self._save_one_by_one(finished)
            # Outcomes that are not committed yet are the newest, and are in memory only.
            while len(self._sent) > MAX_CACHED_EVENT_IDS + len(self._finished):
                self._sent.popitem(last=False)
        self._committing = False
        self._committed.set()

    async def _save(self, finished: Sequence[FinishedOrder]) -> None:
        self._deliver(await self._journal.finish_orders(finished, self._clock.now()))

    async def _save_one_by_one(self, finished: Sequence[FinishedOrder]) -> None:
        """Commit one by one: an outcome that the database refuses stays in its row for the next process."""
        for each in finished:
            try:
                await self._save((each,))
            except UnitRefused as error:
                lane, txn_id = each.row.lane, each.row.txn_id
                structlog.get_logger().error(
                    "outcome_not_kept", **actor_field(lane), txn_id=txn_id, reason=str(error)
                )

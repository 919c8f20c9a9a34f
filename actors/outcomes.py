"""What came of orders: known to their lane at once, committed a batch at a time.

A lane goes on as soon as the homeserver has answered. A crash before the commit repeats all that was not marked as
done, in its order and under the same transaction ids, as it repeats an order whose answer was lost. So whatever came
of orders while one commit was under way is kept by the next, in one transaction, and with it what their actors
are told.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import anyio
import structlog

from actors.ports import Clock
from actors.workers import Workers
from machines.happenings import OrderDone
from machines.ids import EventId, TxnId
from machines.orders import Done, Outcome, Refused
from machines.tags import tag_of
from store import Journal
from store.errors import UnitRefused
from store.records import FinishedOrder, InboxRow, OutboxRow

REMEMBERED = 4096
"""How many sent messages are remembered for the edits to come; others are looked up."""


class Outcomes:
    """Keeps what came of orders, and tells whoever waits for it."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        workers: Workers,
        deliver: Callable[[Iterable[InboxRow]], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._workers = workers
        self._deliver = deliver
        self._sent: OrderedDict[TxnId, EventId] = OrderedDict()
        self._finished: list[FinishedOrder] = []
        self._committing = False
        self._committed = anyio.Event()

    def note(self, row: OutboxRow, outcome: Outcome) -> None:
        """Take what came of an order; it is committed soon, with all that has come by then."""
        refusal = f"{outcome.errcode}: {outcome.reason}" if isinstance(outcome, Refused) else None
        event_id = outcome.event_id if isinstance(outcome, Done) else None
        if event_id is not None:
            self._sent[row.txn_id] = event_id
        report = None
        if row.reports or refusal is not None:
            answers = getattr(row.order, "answers", None)
            report = OrderDone(row.txn_id, outcome, answers)
        if refusal is not None:
            structlog.get_logger().warning(
                "order_refused", lane=row.lane, order=tag_of(row.order), reason=refusal
            )
        self._finished.append(FinishedOrder(row, event_id, refusal, report))
        if not self._committing:
            self._committing = True
            self._workers.start(self._commit)

    async def event_of(self, txn_id: TxnId) -> EventId | None:
        """Return the event that a message was sent as, if it was."""
        return self._sent.get(txn_id) or await self._journal.sent_event(txn_id)

    async def flush(self) -> None:
        """Return when everything is committed."""
        while self._committing:
            self._committed = anyio.Event()
            await self._committed.wait()

    async def _commit(self) -> None:
        while self._finished:
            finished, self._finished = self._finished, []
            try:
                await self._keep(finished)
            except UnitRefused:
                await self._keep_apart(finished)
            # What is not committed yet is the newest, and only memory knows it.
            while len(self._sent) > REMEMBERED + len(self._finished):
                self._sent.popitem(last=False)
        self._committing = False
        self._committed.set()

    async def _keep(self, finished: Sequence[FinishedOrder]) -> None:
        self._deliver(await self._journal.finish_orders(finished, self._clock.now()))

    async def _keep_apart(self, finished: Sequence[FinishedOrder]) -> None:
        """Find the one that breaks a rule: it stays in its row for the next process, and the others are kept."""
        for each in finished:
            try:
                await self._keep((each,))
            except UnitRefused as error:
                structlog.get_logger().error(
                    "outcome_not_kept",
                    lane=each.row.lane,
                    txn_id=each.row.txn_id,
                    reason=str(error),
                )

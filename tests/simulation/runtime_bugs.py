"""Planted bugs of the runtime: the order of commits and orders, starts and restarts."""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from actors.outbox import Outbox
from actors.reconciler import Reconciler
from machines.events.effects import Effect
from machines.events.matrix import Gap, MatrixEvent
from machines.events.orders import Order, Outcome, SendMessage
from machines.ids import TxnId
from machines.room.topology import Topology
from machines.turn import driver as turn_driver
from machines.turn import machine as turn_machine
from machines.turn.reply import Finished, Reply, show_last
from store import Journal
from store.queries import SQL
from store.records import InboxRow, OutboxRow, UnitOfWork
from tests.simulation.planted import Bug, Port


class _DoneBeforeAnswered(Port):
    """Marks an order as sent before performing it."""

    def __init__(self, port: Any, journal: Journal) -> None:
        super().__init__(port)
        self.journal = journal

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        done = {"status": "sent", "event_id": None, "reason": "", "txn_id": txn_id}

        def mark(raw: sqlite3.Connection) -> None:
            raw.execute(SQL["finish_outbox"], done)

        await self.journal.write(mark)
        outcome: Outcome = await self.port.perform(order, txn_id)
        return outcome


def _sent_before_commit(homeserver: Any, journal: Any) -> Any:
    """Perform the messages of units of work before these are committed."""
    commit = journal.save_units_of_work

    async def save_units_of_work(units: Sequence[UnitOfWork], at: float) -> tuple[InboxRow, ...]:
        for row in (row for unit in units for row in unit.orders):
            if isinstance(row.order, SendMessage) and row.order.edits is None:
                await homeserver.perform(row.order, row.txn_id)
        rows: tuple[InboxRow, ...] = await commit(units, at)
        return rows

    journal.save_units_of_work = save_units_of_work
    return homeserver


class _NoHistory(Port):
    async def history(self, gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        pages: tuple[tuple[MatrixEvent, ...], ...] = ()
        for page in pages:
            yield page


def _one_lane_per_order(stack: ExitStack) -> None:
    enqueue = Outbox.enqueue

    def each_alone(self: Outbox, rows: Iterable[OutboxRow], *dropped: Any) -> None:
        enqueue(self, [replace(row, lane=row.txn_id) for row in rows], *dropped)

    stack.enter_context(patch.object(Outbox, "enqueue", each_alone))


def _turn_not_resumed(stack: ExitStack) -> None:
    stack.enter_context(patch.object(turn_driver, "resume", lambda draft: None))


def _no_reconciliation(stack: ExitStack) -> None:
    async def nothing(self: Reconciler, topology: Topology) -> dict[str, Any]:
        return {"rooms_recovered": 0, "rooms_unchanged": 0}

    stack.enter_context(patch.object(Reconciler, "reconcile_matrix_state", nothing))


def _quiet_line_kept(stack: ExitStack) -> None:
    def kept(
        reply: Reply, text: str, at: float, finished: Finished, ending: str = ""
    ) -> tuple[Reply, tuple[Effect, ...]]:
        line = f"{reply.quiet}\n\n" if reply.quiet else ""
        return show_last(reply, line + text, at, finished, ending)

    stack.enter_context(patch.object(turn_machine, "show_last", kept))


RUNTIME_BUGS = (
    Bug("an order is sent before its commit", homeserver=_sent_before_commit, blind=False),
    Bug("an order is done before it is answered", homeserver=_DoneBeforeAnswered),
    Bug("the orders of a room are not sent one after the other", replace=_one_lane_per_order),
    Bug("a restart does not resume the turn in progress", replace=_turn_not_resumed),
    Bug("the quiet line stays in the answer", replace=_quiet_line_kept),
    Bug("reconciliation is left out", replace=_no_reconciliation),
    Bug("a gap is not filled", homeserver=lambda port, journal: _NoHistory(port)),
)

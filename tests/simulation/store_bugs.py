"""Planted bugs of the store: what is committed, when, and in which order."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import anyio

from machines.events.matrix import SyncBatch
from machines.ids import ActorKey
from matrix.sync import timeline
from store import Journal
from store.database import Runner
from store.records import FinishedOrder, InboxRow, RoomRows, UnitOfWork, UserRows
from tests.simulation.planted import Bug


class _TokenFirst(Journal):
    async def save_sync_batch(self, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
        await super().save_sync_batch(SyncBatch(batch.token), at)
        return await super().save_sync_batch(batch, at)


class _MessageDoneFirst(Journal):
    async def save_units_of_work(
        self, units: Sequence[UnitOfWork], at: float
    ) -> tuple[InboxRow, ...]:
        await super().save_units_of_work([UnitOfWork(acked=each.acked) for each in units], at)
        return await super().save_units_of_work(units, at)


class _DoneEventsDeleted(Journal):
    async def save_sync_batch(self, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
        def delete_done(raw: sqlite3.Connection) -> None:
            raw.execute("DELETE FROM inbox WHERE status = 'done'")

        await self.write(delete_done)
        return await super().save_sync_batch(batch, at)


def _show_answered_messages(stack: ExitStack) -> None:
    # Otherwise a message with its answer in the same timeline would not reach the inbox.
    stack.enter_context(
        patch.object(timeline, "without_answered", lambda decoded, events, bot: decoded)
    )


class _FirstWriterLast(Journal):
    """The first of several writers returns after all others, as if it wrote for them."""

    def __init__(self, database: Runner) -> None:
        super().__init__(database)
        self.writers = 0

    async def write(self, unit: Any) -> Any:
        self.writers += 1
        first = self.writers == 1
        try:
            result = await super().write(unit)
        finally:
            self.writers -= 1
        while first and self.writers:  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.001)
        return result


class _OneOutcome(Journal):
    async def finish_orders(
        self, finished: Sequence[FinishedOrder], at: float
    ) -> tuple[InboxRow, ...]:
        return await super().finish_orders(finished[:1], at)


class _LateRowsLost(Journal):
    """Rows that are committed while their actor is loaded are not handed over."""

    def __init__(self, database: Runner) -> None:
        super().__init__(database)
        self.loading: tuple[ActorKey, ...] = ()

    async def load_actors(self, keys: Iterable[ActorKey]) -> dict[ActorKey, RoomRows | UserRows]:
        self.loading = tuple(keys)
        try:
            return await super().load_actors(self.loading)
        finally:
            self.loading = ()

    async def save_sync_batch(self, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
        rows = await super().save_sync_batch(batch, at)
        return tuple(row for row in rows if row.actor not in self.loading)


STORE_BUGS = (
    Bug("the token is committed before its events", journal=_TokenFirst),
    Bug("a message is done before its turn is stored", journal=_MessageDoneFirst),
    Bug(
        "an event that comes again is handled again",
        journal=_DoneEventsDeleted,
        replace=_show_answered_messages,
    ),
    Bug("inbox rows are handed over out of order", journal=_FirstWriterLast),
    Bug("only the first outcome of a batch is stored", journal=_OneOutcome),
    Bug("rows that come while an actor is loaded are lost", journal=_LateRowsLost),
)

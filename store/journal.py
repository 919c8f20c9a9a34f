"""The one writer, with group commit, and what the runtime reads and writes.

A *unit* is a plain function over the connection (`units`). Units that wait while a transaction is under way are
put together into the next one, so that durability costs one commit for many of them (contract D3). A unit that
breaks a rule is found out and refused alone: the others of its group are committed without it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import Struct

from machines.chats import ChatSummary
from machines.facts import Fact, Gap, SyncBatch
from machines.ids import ActorKey, DeviceId, EventId, RoomId, TxnId, UserId
from machines.lifecycle import Life
from machines.plan import Stored
from machines.preferences import Preferences
from machines.priority import Priority
from machines.topology import Topology
from store import gaps, inbox, writing
from store.database import Runner
from store.errors import DatabaseUnusable, UnitRefused
from store.queries import SQL
from store.records import (
    BotRow,
    FinishedOrder,
    InboxRow,
    OutboxRow,
    RoomRows,
    Transition,
    UserRows,
    Writes,
)
from store.rows import chats_of, outbox_row

Unit = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Waiting:
    """A unit on its way; until it is committed, what came of it is that it was not."""

    unit: Unit
    woken: anyio.Event = field(default_factory=anyio.Event)
    done: bool = False
    result: Any = None
    error: Exception | None = field(
        default_factory=lambda: UnitRefused("a fault in another unit ended the transaction")
    )


class Journal:
    """Reads and writes of the runtime. One instance a database; `close` flushes."""

    def __init__(self, database: Runner) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._writing = False

    async def write(self, unit: Unit) -> Any:
        """Run `unit` in a transaction, together with whatever else waits, and return what it returns.

        Raises:
            DatabaseUnusable: nothing of the group was kept.
            UnitRefused: nothing of this unit was kept.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        waiting = _Waiting(unit)
        self._waiting.append(waiting)
        # Shielded, because the units of others may come to be in its hands.
        with anyio.CancelScope(shield=True):
            if self._writing:
                await waiting.woken.wait()
            if not waiting.done:
                await self._write_group()
        if waiting.error is not None:
            raise waiting.error
        return waiting.result

    async def _write_group(self) -> None:
        """Write for all who wait, and leave what has come meanwhile to the first of those.

        So callers go on in the order of their commits: inbox rows reach their actor as they are numbered.
        """
        self._writing = True
        group, self._waiting = self._waiting, []
        try:
            await self._commit(group)
        finally:
            for waiting in group:
                waiting.done = True
                waiting.woken.set()
            self._writing = bool(self._waiting)
            if self._waiting:
                self._waiting[0].woken.set()

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            results = await self._database.run(lambda raw: _transaction(raw, group))
            for waiting, result in zip(group, results, strict=True):
                waiting.result, waiting.error = result, None
        except UnitRefused as error:
            if len(group) == 1:
                group[0].error = error
            else:
                for waiting in group:
                    await self._commit([waiting])
        except DatabaseUnusable as error:
            for waiting in group:
                waiting.error = error

    # -- what the runtime writes -------------------------------------------------------------------

    async def keep_batch(self, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
        """Commit a decoded sync response with its token, in one transaction (contract D3).

        Returns the new inbox rows; an event that is there already makes none (contract D1).
        """
        rows: tuple[InboxRow, ...] = await self.write(
            lambda raw: writing.keep_batch(raw, batch, at)
        )
        return rows

    async def keep_history(
        self, gap: Gap, facts: Iterable[Fact], at: float
    ) -> tuple[InboxRow, ...]:
        """Commit a part of what a gap held, while it is open (contract D4)."""

        def unit(raw: sqlite3.Connection) -> tuple[InboxRow, ...]:
            return inbox.put_facts(raw, facts, at) if gaps.is_open(raw, gap) else ()

        rows: tuple[InboxRow, ...] = await self.write(unit)
        return rows

    async def close_gap(self, gap: Gap) -> Gap | None:
        """End a gap that was read; returns what was added to it meanwhile, if anything was."""
        rest: Gap | None = await self.write(lambda raw: gaps.close_gap(raw, gap))
        return rest

    async def tell(self, actor: ActorKey, event: Struct, at: float) -> tuple[InboxRow, ...]:
        """Commit one event for one actor."""
        rows: tuple[InboxRow, ...] = await self.write(
            lambda raw: inbox.tell(raw, ((actor, event),), at)
        )
        return rows

    async def keep_visits(self, visits: Sequence[Writes], at: float) -> tuple[InboxRow, ...]:
        """Commit what one round of visits leaves behind; returns the rows told to other actors.

        Raises:
            UnitRefused: nothing of the whole round was kept.
        """

        def unit(raw: sqlite3.Connection) -> tuple[InboxRow, ...]:
            return tuple(row for writes in visits for row in writing.keep_visit(raw, writes, at))

        rows: tuple[InboxRow, ...] = await self.write(unit)
        return rows

    async def finish_orders(
        self, finished: Sequence[FinishedOrder], at: float
    ) -> tuple[InboxRow, ...]:
        """Mark orders as performed or refused and, in the same transaction, tell their actors the reports.

        Raises:
            UnitRefused: nothing of all of them was kept.
        """
        rows: tuple[InboxRow, ...] = await self.write(
            lambda raw: writing.finish_orders(raw, finished, at)
        )
        return rows

    async def keep_life(self, life: Life, transition: Transition) -> None:
        """Commit a change of the bot's own life (contract L1)."""

        def unit(raw: sqlite3.Connection) -> None:
            raw.execute(
                SQL["put_life"], {"state": life.state, "since": life.since, "reason": life.reason}
            )
            writing.put_transition(raw, transition)

        await self.write(unit)

    async def keep_session(self, user_id: UserId, device_id: DeviceId) -> None:
        """Note which account and device this database belongs to."""
        await self.write(
            lambda raw: (
                raw.execute(
                    SQL["put_session"], {"user_id": user_id, "device_id": device_id}
                ).rowcount
            )
        )

    async def prune(self, before: float) -> None:
        """Forget what is done and older than `before` (seconds since the epoch)."""

        def unit(raw: sqlite3.Connection) -> None:
            for statement in writing.PRUNES:
                raw.execute(SQL[statement], {"before": before})

        await self.write(unit)

    # -- what the runtime reads --------------------------------------------------------------------

    async def gaps(self) -> tuple[Gap, ...]:
        """Return the gaps whose history is still to be read."""
        return await self._database.run(gaps.gaps)

    async def gap_of(self, room_id: RoomId) -> Gap | None:
        """Return the open gap of a room."""
        return await self._database.run(lambda raw: gaps.gap_of(raw, room_id))

    async def bot(self) -> BotRow:
        """Return the bot's own row."""
        return await self._database.run(writing.bot)

    async def rooms_and_users(
        self, keys: Iterable[ActorKey]
    ) -> dict[ActorKey, RoomRows | UserRows]:
        """Load actors with the first of their waiting inbox rows, in one hop."""
        wanted = tuple(keys)

        def unit(raw: sqlite3.Connection) -> dict[ActorKey, RoomRows | UserRows]:
            return {key: writing.load_actor(raw, key) for key in wanted}

        return await self._database.run(unit)

    async def chats_of(self, users: Iterable[ActorKey]) -> dict[ActorKey, tuple[ChatSummary, ...]]:
        """Return the chats of users as their rooms' rows are now, in one hop."""
        wanted = tuple(users)
        return await self._database.run(lambda raw: {key: chats_of(raw, key) for key in wanted})

    async def inbox_after(
        self, actor: ActorKey, after: int, priority: Priority = Priority.MESSAGE
    ) -> tuple[InboxRow, ...]:
        """Return the next waiting rows of an actor and a priority behind the row `after`."""
        return await self._database.run(lambda raw: inbox.waiting(raw, actor, priority, after))

    async def actors_with_work(self) -> dict[ActorKey, int]:
        """Return who has waiting inbox rows, and how many, a turn in hand, or a look that the last process began."""
        return await self._database.run(
            lambda raw: {ActorKey(row[0]): row[1] for row in raw.execute(SQL["actors_with_work"])}
        )

    async def preferences(self) -> dict[UserId, Preferences]:
        """Return what every user chose."""
        return await self._database.run(writing.preferences)

    async def stored(self) -> Stored:
        """Return what reconciliation compares the homeserver with."""
        return await self._database.run(writing.stored)

    async def stored_about(self, topology: Topology) -> Stored:
        """Return what one look at one room is compared with (contract C12)."""
        return await self._database.run(lambda raw: writing.stored_about(raw, topology))

    async def spaces_of(self, room_id: RoomId) -> tuple[RoomId, ...]:
        """Return the Spaces that a room's row and its owner's row name."""

        def unit(raw: sqlite3.Connection) -> tuple[RoomId, ...]:
            found = raw.execute(SQL["spaces_of_room"], {"room_id": room_id})
            return tuple(RoomId(row[0]) for row in found)

        return await self._database.run(unit)

    async def waiting_orders(self, fresh: float) -> tuple[OutboxRow, ...]:
        """Return the orders that wait, in order; those from before `fresh` are doubtful."""

        def unit(raw: sqlite3.Connection) -> tuple[OutboxRow, ...]:
            return tuple(
                outbox_row(row) for row in raw.execute(SQL["waiting_outbox"], {"fresh": fresh})
            )

        return await self._database.run(unit)

    async def sent_event(self, txn_id: TxnId) -> EventId | None:
        """Return the event that a message was sent as, if it was."""

        def unit(raw: sqlite3.Connection) -> EventId | None:
            row = raw.execute(SQL["sent_event"], {"txn_id": txn_id}).fetchone()
            return EventId(row["event_id"]) if row and row["event_id"] else None

        return await self._database.run(unit)


# -- units: all below runs on the connection's thread ----------------------------------------------


def _transaction(raw: sqlite3.Connection, group: list[_Waiting]) -> list[Any]:
    raw.execute("BEGIN IMMEDIATE")
    try:
        results = [waiting.unit(raw) for waiting in group]
        raw.execute("COMMIT")
    except BaseException:
        raw.rollback()
        raise
    return results

"""The journal: the one writer, with group commit, and every read and write of the runtime.

A *unit* is a function over the connection, committed or refused as a whole. Units that wait while a transaction runs
share the next one, so many of them cost one commit (contract D3). A unit that breaks a rule of the schema is refused
alone: the others of its group are committed without it.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
from msgspec import Struct
from msgspec.structs import asdict

from machines.bot.machine import BotState
from machines.events.matrix import Gap, MatrixEvent, SyncBatch
from machines.events.priority import Priority
from machines.ids import ActorKey, DeviceId, EventId, RoomId, TxnId, UserId
from machines.room.plan import StoredState
from machines.room.topology import Topology
from machines.user.chats import ChatSummary
from machines.user.preferences import Preferences
from store import gaps, inbox, loading, writing
from store.database import Runner
from store.errors import DatabaseUnusable, UnitRefused
from store.queries import SQL
from store.records import (
    BotRow,
    FinishedOrder,
    InboxRow,
    OutboxRow,
    RoomRows,
    TransitionRecord,
    UnitOfWork,
    UserRows,
)
from store.rows import chats_of, outbox_row

T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    """A unit that waits for its commit. Its error is removed when the unit is committed."""

    unit: Callable[[sqlite3.Connection], Any]
    woken: anyio.Event = field(default_factory=anyio.Event)
    done: bool = False
    result: Any = None
    error: Exception | None = field(
        default_factory=lambda: UnitRefused("a fault in another unit ended the transaction")
    )


class Journal:
    """Reads and writes of the runtime. There is one instance for each database."""

    def __init__(self, database: Runner) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._writing = False

    async def write(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        """Run `unit` in a transaction, together with the other units that wait, and return what it returns.

        Raises:
            DatabaseUnusable: nothing of the group was saved.
            UnitRefused: nothing of this unit was saved.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        waiting = _Waiting(unit)
        self._waiting.append(waiting)
        # Shielded, because this caller may be the one that commits the units of others.
        with anyio.CancelScope(shield=True):
            if self._writing:
                await waiting.woken.wait()
            if not waiting.done:
                await self._write_group()
        if waiting.error is not None:
            raise waiting.error
        result: T = waiting.result
        return result

    async def _write_group(self) -> None:
        """Commit all units that wait; the first unit that arrives meanwhile commits the next group.

        So callers continue in the order of their commits, and inbox rows reach their actor in the order of `seq`.
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

    # -- writes ------------------------------------------------------------------------------------

    async def save_sync_batch(self, batch: SyncBatch, at: float) -> tuple[InboxRow, ...]:
        """Commit a decoded sync response with its token, in one transaction (contract D3).

        Returns the new inbox rows; an event that is stored already adds none (contract D1).
        """
        return await self.write(lambda raw: writing.save_sync_batch(raw, batch, at))

    async def save_history(
        self, gap: Gap, events: Iterable[MatrixEvent], at: float
    ) -> tuple[InboxRow, ...]:
        """Commit a part of a gap's history, unless the gap was closed meanwhile (contract D4)."""

        def unit(raw: sqlite3.Connection) -> tuple[InboxRow, ...]:
            return inbox.put_matrix_events(raw, events, at) if gaps.is_open(raw, gap) else ()

        return await self.write(unit)

    async def close_gap(self, gap: Gap) -> Gap | None:
        """Close a gap that was read; returns the rest of it, if it grew meanwhile."""
        return await self.write(lambda raw: gaps.close_gap(raw, gap))

    async def deliver_event(
        self, actor: ActorKey, event: Struct, at: float
    ) -> tuple[InboxRow, ...]:
        """Commit one internal event for one actor; returns its inbox row."""
        return await self.write(lambda raw: inbox.put_internal_events(raw, ((actor, event),), at))

    async def save_units_of_work(
        self, units: Sequence[UnitOfWork], at: float
    ) -> tuple[InboxRow, ...]:
        """Commit the units of work of several actors; returns the new rows in the inboxes of other actors.

        Raises:
            UnitRefused: none of them was saved.
        """

        def unit(raw: sqlite3.Connection) -> tuple[InboxRow, ...]:
            return tuple(row for each in units for row in writing.save_unit_of_work(raw, each, at))

        return await self.write(unit)

    async def finish_orders(
        self, finished: Sequence[FinishedOrder], at: float
    ) -> tuple[InboxRow, ...]:
        """Mark orders as sent or refused and, in the same transaction, report this to their actors.

        Raises:
            UnitRefused: none of them was saved.
        """
        return await self.write(lambda raw: writing.finish_orders(raw, finished, at))

    async def save_bot_state(self, bot_state: BotState, transition: TransitionRecord) -> None:
        """Commit a change of the bot's own state (contract L1)."""

        def unit(raw: sqlite3.Connection) -> None:
            raw.execute(SQL["put_bot_state"], asdict(bot_state))
            writing.put_transition(raw, transition)

        await self.write(unit)

    async def save_session(self, user_id: UserId, device_id: DeviceId) -> None:
        """Store which account and device this database belongs to."""

        def unit(raw: sqlite3.Connection) -> None:
            raw.execute(SQL["put_session"], {"user_id": user_id, "device_id": device_id})

        await self.write(unit)

    async def prune(self, before: float) -> None:
        """Delete finished rows and logs older than `before` (seconds since the epoch)."""
        await self.write(lambda raw: writing.prune(raw, before))

    # -- reads -------------------------------------------------------------------------------------

    async def gaps(self) -> tuple[Gap, ...]:
        """Return the gaps whose history is not read yet."""
        return await self._database.run(gaps.gaps)

    async def gap_of(self, room_id: RoomId) -> Gap | None:
        """Return the open gap of a room."""
        return await self._database.run(lambda raw: gaps.gap_of(raw, room_id))

    async def bot(self) -> BotRow:
        """Return the bot's own row."""
        return await self._database.run(loading.bot)

    async def load_actors(self, keys: Collection[ActorKey]) -> dict[ActorKey, RoomRows | UserRows]:
        """Load actors with the first of their waiting inbox rows, in one call to the connection's thread."""
        return await self._database.run(
            lambda raw: {key: loading.load_actor(raw, key) for key in keys}
        )

    async def chats_of(
        self, users: Collection[ActorKey]
    ) -> dict[ActorKey, tuple[ChatSummary, ...]]:
        """Return the chats of users as their rooms' rows are now, in one call to the connection's thread."""
        return await self._database.run(lambda raw: {key: chats_of(raw, key) for key in users})

    async def inbox_after(
        self, actor: ActorKey, after: int, priority: Priority = Priority.MESSAGE
    ) -> tuple[InboxRow, ...]:
        """Return the next waiting rows of an actor and a priority after the row `after`."""
        return await self._database.run(lambda raw: inbox.waiting(raw, actor, priority, after))

    async def actors_with_work(self) -> dict[ActorKey, int]:
        """Return the actors with waiting inbox rows, a current turn or a pending repair, and how many rows wait."""
        return await self._database.run(
            lambda raw: {ActorKey(row[0]): row[1] for row in raw.execute(SQL["actors_with_work"])}
        )

    async def preferences(self) -> dict[UserId, Preferences]:
        """Return the preferences of all users."""
        return await self._database.run(loading.preferences)

    async def stored(self) -> StoredState:
        """Return the stored state that the homeserver is compared with."""
        return await self._database.run(loading.stored)

    async def stored_for(self, topology: Topology) -> StoredState:
        """Return the stored state that a part of the topology is compared with (contract C12)."""
        return await self._database.run(lambda raw: loading.stored_for(raw, topology))

    async def spaces_of(self, room_id: RoomId) -> tuple[RoomId, ...]:
        """Return the Spaces that a room's row and its owner's row name."""

        def unit(raw: sqlite3.Connection) -> tuple[RoomId, ...]:
            found = raw.execute(SQL["spaces_of_room"], {"room_id": room_id})
            return tuple(RoomId(row[0]) for row in found)

        return await self._database.run(unit)

    async def waiting_orders(self, fresh: float) -> tuple[OutboxRow, ...]:
        """Return the orders that wait, in order; `txn_id_expired` is set for those created before `fresh`."""

        def unit(raw: sqlite3.Connection) -> tuple[OutboxRow, ...]:
            return tuple(map(outbox_row, raw.execute(SQL["waiting_outbox"], {"fresh": fresh})))

        return await self._database.run(unit)

    async def sent_event_id(self, txn_id: TxnId) -> EventId | None:
        """Return the event id that the homeserver gave a message, if it was sent."""

        def unit(raw: sqlite3.Connection) -> EventId | None:
            row = raw.execute(SQL["sent_event"], {"txn_id": txn_id}).fetchone()
            return EventId(row["event_id"]) if row and row["event_id"] else None

        return await self._database.run(unit)


def _transaction(raw: sqlite3.Connection, group: list[_Waiting]) -> list[Any]:
    """Run all units of a group in one transaction, on the connection's thread."""
    raw.execute("BEGIN IMMEDIATE")
    try:
        results = [waiting.unit(raw) for waiting in group]
        raw.execute("COMMIT")
    except BaseException:
        raw.rollback()
        raise
    return results

"""An outbox, with the rows that it delivered and the replies that it reported."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from actors.outbox import Outbox
from actors.task_pool import TaskPool
from machines.events.orders import Order, SendMessage
from machines.ids import ActorKey, EventId, RoomId, TxnId, UserId
from store.records import InboxRow, OutboxRow, UnitOfWork
from tests.actors.fakes import RuntimeFixture

ROOM = RoomId("!room")


class OutboxFixture:
    """An outbox, with the rows that it delivered and the replies that it reported."""

    def __init__(self, runtime: RuntimeFixture) -> None:
        self.runtime = runtime
        self.delivered: list[InboxRow] = []
        self.replied: list[tuple[RoomId, EventId]] = []
        self.refused_users: set[UserId] = set()
        self.task_pool = TaskPool(runtime.clock)
        self.outbox = Outbox(
            runtime.homeserver,
            runtime.journal,
            runtime.clock,
            self.task_pool,
            deliver=self.delivered.extend,
            on_reply_sent=lambda room_id, event_id: self.replied.append((room_id, event_id)),
            on_lane_low=lambda lane: None,
            allows=lambda user_id: user_id not in self.refused_users,
        )

    def row(self, txn_id: str, order: Order | None = None, **changes: object) -> OutboxRow:
        message = order or SendMessage(ROOM, txn_id)
        lane = str(getattr(message, "room_id", "@anna"))
        now = self.runtime.clock.now()
        row = OutboxRow(TxnId(txn_id), lane, ActorKey(lane), message, False, 0.0, now)
        return replace(row, **changes)

    async def commit(self, *rows: OutboxRow, dropped: tuple[TxnId, ...] = ()) -> None:
        await self.runtime.journal.save_units_of_work(
            [UnitOfWork(orders=rows, dropped_edits=dropped)], 1.0
        )

    async def commit_and_enqueue(self, *rows: OutboxRow, dropped: tuple[TxnId, ...] = ()) -> None:
        await self.commit(*rows, dropped=dropped)
        self.outbox.enqueue(rows, dropped, ROOM)

    def edit(self, txn_id: str, of: str, **changes: object) -> OutboxRow:
        order = SendMessage(ROOM, txn_id, edits=TxnId(of), partial=True, droppable=True)
        return self.row(txn_id, replace(order, **changes))

    @property
    def sent(self) -> list[str]:
        return [str(txn_id) for txn_id, _ in self.runtime.homeserver.performed]


@asynccontextmanager
async def open_outbox(runtime: RuntimeFixture) -> AsyncIterator[OutboxFixture]:
    outbox_fixture = OutboxFixture(runtime)
    async with anyio.create_task_group() as group:
        outbox_fixture.task_pool.run(group)
        await outbox_fixture.outbox.recover()
        yield outbox_fixture
        await runtime.clock.advance(60)
        group.cancel_scope.cancel()

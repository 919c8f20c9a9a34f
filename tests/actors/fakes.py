"""One fake for each port, and a bot that runs on them: a real journal, virtual time, no threads, no network."""

import heapq
import itertools
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from actors.agent_calls import Limits
from actors.agent_reachability import OnAgentChange
from actors.bot import DRAIN_S, Bot
from actors.context import ContextProvider
from machines.access import Access
from machines.errors import TokenUnknown
from machines.events.agent import AgentEnd, AgentRequest, AgentTextChunk, Frame, Quoted
from machines.events.matrix import Gap, MatrixEvent, MessageArrived, SyncBatch
from machines.events.orders import (
    CreateRoom,
    Done,
    Joined,
    JoinRoom,
    LookUpName,
    NameFound,
    Order,
    Outcome,
    RoomCreated,
    SendMessage,
    StoreBinding,
)
from machines.ids import DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.binding import Binding
from machines.room.state import Room
from machines.room.topology import ObservedRoom, Topology
from machines.room.unconfirmed import Unconfirmed
from store import Journal
from store.database import prepare, translated
from store.records import UnitOfWork
from tests.idle_loop import settle
from tests.machines.room.topologies import bound, chat, space
from tests.machines.support import ANNA, BOT, CATALOG, FewAgents

T = TypeVar("T")
DEVICE = DeviceId("DEVICE")
LAST_EDIT_S = 2.0


class ManualClock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    @property
    def has_sleepers(self) -> bool:
        """Whether a task sleeps."""
        return bool(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken.wait()

    def set_back(self, seconds: float) -> None:
        """Set the clock back."""
        self._now -= seconds

    async def advance(self, seconds: float) -> None:
        """Advance the time, and wake each sleeper at its time, in order."""
        until = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            woken.set()
            await settle()
        self._now = until


class InlineDatabase:
    """The journal's connection without its thread, so that the order of events is always the same."""

    def __init__(self, path: Path) -> None:
        self.raw = prepare(sqlite3.connect(path, isolation_level=None))
        self._free: anyio.Event | None = None

    def stall(self) -> None:
        """Delay every further call until `resume`, as on a busy disk."""
        self._free = anyio.Event()

    def resume(self) -> None:
        """End the wait."""
        if self._free is not None:
            self._free.set()
        self._free = None

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await anyio.lowlevel.checkpoint()
        if self._free is not None:
            await self._free.wait()
        return translated(function, self.raw)

    def rows(self, sql: str, *values: object) -> list[tuple]:
        """Return rows of the tables."""
        return [tuple(row) for row in self.raw.execute(sql, values)]


@dataclass(frozen=True)
class Login:
    user_id: UserId = BOT
    device_id: DeviceId = DEVICE


@dataclass
class FakeHomeserver:
    """A homeserver that shows `rooms`, returns the batches of `next_sync`, and records the orders and calls.

    It fails on an order that is not committed: every order must have a row in the outbox.
    """

    database: InlineDatabase
    clock: ManualClock
    rooms: list[ObservedRoom] = field(default_factory=list)
    performed: list[tuple[TxnId, Order]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    gaps: dict[RoomId, list[tuple[MatrixEvent, ...]]] = field(default_factory=dict)
    unanswered: dict[RoomId, tuple[MatrixEvent, ...]] = field(default_factory=dict)
    quotable: dict[EventId, Quoted] = field(default_factory=dict)
    """The messages that can be quoted."""
    outcome: Callable[[Order], Outcome | None] = lambda order: None
    delay_s: float = 0.0
    synced: list[ObservedRoom] | None = None
    """What the initial sync shows instead of `rooms`: a sync is not the current state (fact 19)."""

    def __post_init__(self) -> None:
        self.pending_batches: deque[SyncBatch | Exception] = deque()
        self.first: deque[SyncBatch | Exception] = deque()
        self.markers: list[tuple[RoomId, EventId, EventId | None]] = []
        self._news = anyio.Event()
        self._token = 0

    def next_sync(self, *events: MatrixEvent, gaps: Iterable[Gap] = ()) -> None:
        """Add a batch with these events for a later sync."""
        self._token += 1
        self.pending_batches.append(SyncBatch(SyncToken(f"s{self._token}"), events, tuple(gaps)))
        self._news.set()

    def next_error(self, error: Exception) -> None:
        """Let a later sync raise this error."""
        self.pending_batches.append(error)
        self._news.set()

    @property
    def sent_bodies(self) -> list[str]:
        """The bodies of all messages, in the order in which they were sent."""
        return [order.body for _, order in self.performed if isinstance(order, SendMessage)]

    @property
    def replies(self) -> list[tuple[EventId | None, str]]:
        """The replies, each with the event id that it answers."""
        orders = [order for _, order in self.performed if isinstance(order, SendMessage)]
        return [(order.answers, order.body) for order in orders if order.answers]

    async def login(self) -> Login:
        self.calls.append("login")
        return Login()

    async def session_ended(self) -> None:
        await anyio.sleep_forever()

    async def initial_sync(self, since: SyncToken | None) -> tuple[SyncBatch, Topology]:
        self.calls.append(f"initial_sync {since}")
        await anyio.lowlevel.checkpoint()
        batch = self.first.popleft() if self.first else SyncBatch(SyncToken("s0"))
        if isinstance(batch, Exception):
            raise batch
        shown = self.rooms if self.synced is None else self.synced
        return batch, Topology(BOT, {room.room_id: room for room in shown})

    async def confirm(self, topology: Topology, unconfirmed: Unconfirmed) -> Topology:
        self.calls.append("confirm")
        await anyio.lowlevel.checkpoint()
        return Topology(BOT, {room.room_id: room for room in self.rooms})

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        self.calls.append(f"observe_room {room_id}")
        await anyio.lowlevel.checkpoint()
        return Topology(BOT, {room.room_id: room for room in self.rooms})

    async def sync(self, since: SyncToken) -> SyncBatch:
        self.calls.append(f"sync {since}")
        while not self.pending_batches:
            self._news = anyio.Event()
            await self._news.wait()
        batch = self.pending_batches.popleft()
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def history(self, gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        self.calls.append(f"history {gap.room_id}")
        if gap.room_id not in self.gaps:
            raise TokenUnknown("too old")
        for page in self.gaps[gap.room_id]:
            await anyio.lowlevel.checkpoint()
            yield page

    async def unanswered_messages(self, room_id: RoomId) -> tuple[MatrixEvent, ...]:
        self.calls.append(f"unanswered_messages {room_id}")
        return self.unanswered.get(room_id, ())

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        self._require_row(order, txn_id)
        if self.delay_s:
            await self.clock.sleep(self.delay_s)
        self.performed.append((txn_id, order))
        if isinstance(order, StoreBinding):
            self.rooms = [
                replace(room, binding=order.content) if room.room_id == order.room_id else room
                for room in self.rooms
            ]
        return self.outcome(order) or _default_outcome(order, txn_id)

    def _require_row(self, order: Order, txn_id: TxnId) -> None:
        droppable = isinstance(order, SendMessage) and order.droppable
        at_start = isinstance(order, StoreBinding) and txn_id == ""
        if not droppable and not at_start:
            found = self.database.rows("SELECT status FROM outbox WHERE txn_id = ?", txn_id)
            assert found == [("waiting",)], f"{txn_id} is performed and not committed"

    async def find_sent(self, message: SendMessage, since: float) -> EventId | None:
        self.calls.append(f"find_sent {message.body}")
        return None

    async def quoted(self, room_id: RoomId, event_id: EventId) -> Quoted | None:
        self.calls.append(f"quoted {event_id}")
        if self.delay_s:
            await self.clock.sleep(self.delay_s)
        return self.quotable.get(event_id)

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        pass

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        self.markers.append((room_id, read, finished))


def _default_outcome(order: Order, txn_id: TxnId) -> Outcome:
    match order:
        case CreateRoom(name=name):
            return RoomCreated(RoomId(f"!made {name}"))
        case LookUpName():
            return NameFound("Anna")
        case JoinRoom(room_id=room_id):
            return Joined(room_id, False)
        case _:
            return Done(EventId(f"$sent {txn_id}"))


class FakeAgents:
    """Agents that send the frames of `answer`; a request whose text is in `silent` gets none until it is cancelled."""

    def __init__(self) -> None:
        self.requests: list[AgentRequest] = []
        self.closed: list[str] = []
        self.silent: set[str] = set()
        self.answer: Callable[[AgentRequest], Iterable[Frame]] = lambda request: (
            AgentTextChunk(f"re: {request.text}"),
            AgentEnd(1),
        )

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        self.requests.append(request)
        try:
            if request.text in self.silent:
                await anyio.sleep_forever()
            for frame in self.answer(request):
                await anyio.lowlevel.checkpoint()
                yield frame
        finally:
            self.closed.append(request.text)


@dataclass
class RuntimeFixture:
    """The ports of a bot over one database file; `running` runs one process of it."""

    path: Path

    def __post_init__(self) -> None:
        self.database = InlineDatabase(self.path)
        self.clock = ManualClock()
        self.homeserver = FakeHomeserver(self.database, self.clock)
        self.agents = FakeAgents()
        self.limits = Limits()
        self.description: dict[str, str] = {}
        self.on_agent_change: OnAgentChange = lambda *_, **__: None
        self.mock_agents = False
        self.journal = Journal(self.database)
        self.messages = 0

    def with_chats(self, number: int = 1) -> list[RoomId]:
        """Give Anna a Space with this number of chats on the homeserver."""
        names = [RoomId(f"!chat{index}") for index in range(1, number + 1)]
        self.homeserver.rooms = [
            space("!space", *names, binding=Binding("space", ANNA).content()),
            *(
                chat(name, 20 + index, binding=bound(f"C{index}", str(index)).content())
                for index, name in enumerate(names, 1)
            ),
        ]
        return names

    def message(self, room_id: RoomId, body: str) -> MessageArrived:
        self.messages += 1
        return MessageArrived(room_id, EventId(f"${self.messages}"), ANNA, body, self.messages)

    def bot(self) -> Bot:
        context_provider = ContextProvider(
            clock=self.clock,
            catalog=CATALOG,
            access=Access(BOT),
            agents=lambda: FewAgents(),
            agent_retry_s=120.0,
            agent_max_turn_s=1800.0,
            mock_agents=self.mock_agents,
        )
        return Bot(
            homeserver=self.homeserver,
            platform=self.agents,
            journal=self.journal,
            clock=self.clock,
            context_provider=context_provider,
            limits=self.limits,
            describe=lambda: self.description,
            on_agent_change=self.on_agent_change,
        )

    @asynccontextmanager
    async def running(self, *, killed: bool = False) -> AsyncIterator[Bot]:
        """Run a bot until the block ends; then it drains or, if `killed`, is cancelled."""
        bot = self.bot()
        async with anyio.create_task_group() as group:
            group.start_soon(bot.run)
            await settle()
            yield bot
            await self.clock.advance(LAST_EDIT_S)
            if killed:
                group.cancel_scope.cancel()
            else:
                bot.stop()
                await self.clock.advance(DRAIN_S + 1)

    def bot_state(self) -> list[tuple]:
        return self.database.rows("SELECT target FROM transitions WHERE subject = 'bot'")

    async def save_rooms(self, *rooms: Room) -> None:
        await self.journal.save_units_of_work([UnitOfWork(room=room) for room in rooms], 1.0)

"""The Matrix client of the runtime: implements its `Homeserver` port with the parts of this package.

Every call retries by itself. It returns when there is a definite response, or raises one of the errors in
`machines.errors`, as the port describes them.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from machines.errors import CredentialsRefused, TokenUnknown
from machines.events.agent import Quoted
from machines.events.matrix import BotRemoved, Gap, MatrixEvent, SyncBatch
from machines.events.orders import CreateRoom, Order, Outcome, RoomCreated, SendMessage
from machines.ids import EventId, RoomId, SyncToken, TxnId
from machines.room.topology import Topology
from machines.room.unconfirmed import Unconfirmed
from matrix.clock import Clock, SystemClock
from matrix.errors import RequestRefused
from matrix.http.backend import HttpBackend
from matrix.http.circuit_breaker import SHORTEST_WAIT_S, OnOutageChange
from matrix.http.nio_backend import NioBackend
from matrix.http.request import Request, client_path
from matrix.http.transport import Transport
from matrix.rooms.confirm import confirm
from matrix.rooms.create import RoomCreator
from matrix.rooms.current_state import CurrentState
from matrix.rooms.observe import Observer
from matrix.rooms.perform import OrderPerformer
from matrix.rooms.quote import read_quoted
from matrix.session.display_name import ensure_display_name
from matrix.session.file import Account
from matrix.session.login import Authenticator, Session
from matrix.sync.addressing import mark_replies_to_bot
from matrix.sync.emotes import name_senders
from matrix.sync.filters import initial_filter, live_filter
from matrix.sync.full_state import FullState, FullStateReader, SyncReader
from matrix.sync.history import find_sent, read_gap
from matrix.sync.optional_reads import OptionalReads
from matrix.sync.read_position import UnansweredReader, fetch_read_position
from matrix.sync.timeline import JoinedRoom

SYNC_TIMEOUT_MS = 30_000

# A long poll is answered a little late at most; a full state may need minutes.
_SYNC_GRACE_S = 15.0
_INITIAL_SYNC_TIMEOUT_S = 300.0
_TYPING_MS = 30_000


class MatrixClient:
    """Implements the runtime's `Homeserver` port for one account.

    `name` is the display name of an account that has none (contract O1).
    `on_change` is called once when an outage begins and once when it ends. The simulation replaces `backend`,
    `clock` and `jitter`.
    """

    def __init__(
        self,
        account: Account,
        *,
        name: str | None = None,
        on_change: OnOutageChange,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        backend: HttpBackend | None = None,
    ) -> None:
        self._bot = account.user_id
        self._clock = clock or SystemClock()
        self._own_backend: NioBackend | None = None
        if backend is None:
            backend = self._own_backend = NioBackend(account.homeserver)
        self._transport = Transport(backend, self._clock, on_change, jitter)
        self._authenticator = Authenticator(account, self._transport)
        self._current = CurrentState(self._transport, self._bot)
        self._observer = Observer(self._current)
        self._creator = RoomCreator(self._transport, self._current, self._clock)
        self._performer = OrderPerformer(self._transport, self._creator, self._bot)
        self._reads = OptionalReads(self._transport, self._clock)
        self._unanswered = UnansweredReader(self._transport, self._bot, self._clock)
        self._joined: set[RoomId] = set()
        self._own_rooms: set[RoomId] = set()
        self._name = name

    async def login(self) -> Session:
        """Use the stored session, or log in with the same device (contract L2); see `Authenticator.login`.

        The first login of the process also gives a name to an account without one.
        """
        session = await self._authenticator.login()
        name, self._name = self._name, None
        if name is not None:
            await ensure_display_name(self._transport, self._bot, name)
        return session

    async def session_ended(self) -> None:
        """Return when the session has ended softly; every request waits for the next `login`."""
        await self._transport.session_ended()

    async def initial_sync(self, since: SyncToken | None) -> tuple[SyncBatch, Topology]:
        """Make one full-state sync with timeout 0 (contract L3): the events after `since`, and all rooms.

        Without `since` the batch has the unanswered messages (contract D12).
        """
        query = {"timeout": "0", "full_state": "true", "filter": initial_filter(since, self._bot)}
        state: FullState = await self._sync(
            since, query, _INITIAL_SYNC_TIMEOUT_S, lambda: FullStateReader(self._bot, since)
        )
        batch = state.batch
        if since is None:
            batch = await self._unanswered.resume_batch(batch, state.rooms_to_read)
        self._joined = set(state.topology.rooms)
        topology = await self._observer.complete(state.topology, without_rows=since is None)
        self._record(topology)
        self._performer.record_encryption(batch.events)
        events = await self._completed(batch.events)
        return replace(batch, events=events), topology

    async def confirm(self, topology: Topology, unconfirmed: Unconfirmed) -> Topology:
        """Return the topology with the unconfirmed parts read from the current state (contract L3)."""
        topology = await confirm(self._current, self._observer, topology, unconfirmed)
        self._record(topology)
        return topology

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        """Read one room and the Spaces that may contain it, for one repair (contracts C7, C12).

        `spaces` are those that the local rows name.
        """
        topology = await self._observer.observe(room_id, spaces)
        self._record(topology)
        return topology

    async def sync(self, since: SyncToken) -> SyncBatch:
        """Long-poll (30 000 ms) for the events after `since` (contract L6)."""
        synced: set[RoomId] = set()

        def on_room(room_id: RoomId, _: JoinedRoom) -> None:
            synced.add(room_id)

        query = {"filter": live_filter(), "timeout": str(SYNC_TIMEOUT_MS)}
        timeout_s = SYNC_TIMEOUT_MS / 1000 + _SYNC_GRACE_S
        started_at = self._clock.now()
        batch: SyncBatch = await self._sync(
            since, query, timeout_s, lambda: SyncReader(self._bot, since, on_room, self._joined)
        )
        self._joined -= {event.room_id for event in batch.events if isinstance(event, BotRemoved)}
        self._joined |= synced
        left_s = started_at + SHORTEST_WAIT_S - self._clock.now()
        if batch.token == since and left_s > 0:
            # A long poll ends early only if there are new events. A server that ends it early without a new token is
            # broken, and must not be asked in a tight loop.
            await self._clock.sleep(min(SHORTEST_WAIT_S, left_s))
        self._performer.record_encryption(batch.events)
        return replace(batch, events=await self._completed(batch.events))

    async def history(self, gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        """Yield the events of a gap, oldest first, one page at a time, up to its end (contract D4)."""
        async for decoded in read_gap(self._transport, self._bot, gap):
            self._performer.record_encryption(decoded)
            yield await self._completed(decoded)

    async def unanswered_messages(self, room_id: RoomId) -> tuple[MatrixEvent, ...]:
        """Return the messages after the room's read position that have no answer yet (contract D12)."""
        position = await self.read_position(room_id)
        return await self._completed(await self._unanswered.read(room_id, None, position))

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        """Carry out one order; idempotent for the same `txn_id`."""
        outcome = await self._performer.perform(order, txn_id)
        if isinstance(order, CreateRoom) and isinstance(outcome, RoomCreated):
            self._observer.record_created(outcome.room_id, is_space=order.space)
            self._own_rooms.add(outcome.room_id)
        return outcome

    async def find_sent(self, message: SendMessage, since: float) -> EventId | None:
        """Search for a message that may have been sent, for when its transaction id has expired (fact 7)."""
        return await find_sent(self._transport, self._bot, message, since)

    async def quoted(self, room_id: RoomId, event_id: EventId) -> Quoted | None:
        """Return the newest text of a message in this room, `None` if there is none (contract D18)."""
        return await read_quoted(self._transport, self._bot, room_id, event_id)

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Show or end the typing notice; best effort, dropped while the homeserver is under pressure."""
        body = {"typing": True, "timeout": _TYPING_MS} if typing else {"typing": False}
        path = client_path("rooms", room_id, "typing", self._bot)
        await self._transport.best_effort(Request("PUT", path, body=body, bucket="send"))

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        """Set the read receipt and, where given, `m.fully_read` (contracts D6, D12); best effort."""
        body = {"m.read": read}
        if finished is not None:
            body["m.fully_read"] = finished
        path = client_path("rooms", room_id, "read_markers")
        await self._transport.best_effort(Request("POST", path, body=body, bucket="send"))

    async def read_position(self, room_id: RoomId) -> EventId | None:
        """Return the bot's read position in a room from the homeserver (contract D12)."""
        return await fetch_read_position(self._transport, self._bot, room_id)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._own_backend is not None:
            await self._own_backend.aclose()

    async def _sync(
        self,
        since: SyncToken | None,
        query: dict[str, str],
        timeout_s: float,
        reader: Callable[[], SyncReader],
    ) -> Any:
        if since is not None:
            query = {"since": since} | query
        request = Request(
            "GET",
            client_path("sync"),
            query=query,
            # After a failure the homeserver must answer at once: that ends the outage for all requests.
            retry_query=query | {"timeout": "0"},
            bucket="sync",
            timeout_s=timeout_s,
            retry_forever=True,
            long_poll=True,
            reader=reader,
        )
        try:
            return await self._transport.request(request)
        except RequestRefused as refused:
            if refused.status in (401, 403):
                raise CredentialsRefused(
                    f"the homeserver refuses this account ({refused.errcode}: {refused.reason}):"
                    " ask its operator"
                ) from refused
            if since is None:
                raise
            raise TokenUnknown(
                f"the homeserver does not accept the sync token ({refused.errcode}:"
                f" {refused.reason})"
            ) from refused

    async def _completed(self, events: tuple[MatrixEvent, ...]) -> tuple[MatrixEvent, ...]:
        """Return the events with what only a request tells: names of senders, and replies to the bot."""
        events = await name_senders(self._reads, events)
        return await mark_replies_to_bot(self._reads, self._bot, self._own_rooms, events)

    def _record(self, topology: Topology) -> None:
        rooms = topology.rooms.values()
        self._own_rooms.update(room.room_id for room in rooms if room.created_by == self._bot)
        self._observer.record(topology)
        self._creator.record(topology)
        self._performer.record(topology)

"""The ports of the runtime, as Protocols. `matrix` and `agent_platform` satisfy them structurally; `cli` connects them.

`Homeserver` retries by itself (contracts L9, D8): a call returns when there is a definite response, or raises one of
`machines.errors`. `AgentPlatform` raises nothing for a failing agent: every request ends with a terminal frame.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from machines.events.agent import AgentRequest, Frame, Quoted
from machines.events.matrix import Gap, MatrixEvent, SyncBatch
from machines.events.orders import Order, Outcome, SendMessage
from machines.ids import DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.topology import Topology
from machines.room.unconfirmed import Unconfirmed


class Session(Protocol):
    """The bot's account on the homeserver; the access token stays inside `matrix`."""

    @property
    def user_id(self) -> UserId:
        """The account."""
        ...

    @property
    def device_id(self) -> DeviceId:
        """The account's one device (contract L2)."""
        ...


class Homeserver(Protocol):
    """The Matrix homeserver as the runtime sees it."""

    async def login(self) -> Session:
        """Use the stored session or log in with the same device (contract L2).

        Raises:
            CredentialsRefused: the homeserver rejects the configured account.
        """
        ...

    async def session_ended(self) -> None:
        """Return after a soft logout; until the next `login` every request waits."""
        ...

    async def initial_sync(self, since: SyncToken | None) -> tuple[SyncBatch, Topology]:
        """Run one full-state sync with timeout 0 (contract L3); return the events after `since`, and the topology.

        Raises:
            LoggedOut, CredentialsRefused, TokenUnknown: as `sync`.
        """
        ...

    async def confirm(self, topology: Topology, unconfirmed: Unconfirmed) -> Topology:
        """Return the topology with its unconfirmed parts read from the current state (contract L3)."""
        ...

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        """Observe one room and the Spaces that it may belong to, for one repair (contracts C7, C12).

        `spaces` are those of the local rows. The number of requests is bounded.
        """
        ...

    async def sync(self, since: SyncToken) -> SyncBatch:
        """Long-poll (30 000 ms) for events after `since` (contract L6).

        Raises:
            LoggedOut: soft logout; `login` again and repeat.
            CredentialsRefused: the session is gone for good.
            TokenUnknown: `since` is not accepted.
        """
        ...

    def history(self, gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        """Yield the events of a gap, oldest first, a page at a time (contract D4).

        Raises:
            TokenUnknown: the gap's tokens are not accepted.
            HistoryUnavailable: the homeserver fails to return this history.
        """
        ...

    async def unanswered_messages(self, room_id: RoomId) -> tuple[MatrixEvent, ...]:
        """Return the messages of a room after the bot's read position that have no answer yet (contract D12)."""
        ...

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        """Perform one order; safe to repeat with the same `txn_id`."""
        ...

    async def find_sent(self, message: SendMessage, since: float) -> EventId | None:
        """Search the room's history for a message that may have been sent at `since` or later.

        For a message whose transaction id the homeserver may have forgotten: after a day, or with another device.
        """
        ...

    async def quoted(self, room_id: RoomId, event_id: EventId) -> Quoted | None:
        """Return the newest text of a message in this room; `None` if it does not exist or has no text (D18)."""
        ...

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Start or stop the typing notice; best effort, dropped while the circuit breaker is open."""
        ...

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        """Set the read receipt and, where given, `m.fully_read` (contracts D6, D12); best effort."""
        ...


class AgentPlatform(Protocol):
    """The agents as the runtime sees them."""

    def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send one request and yield frames up to one terminal frame. Closing the generator closes the connection."""
        ...


class Clock(Protocol):
    """The clock of the runtime.

    It is monotonic within a process, even if the system clock is changed. Between two processes it may go back: times
    that come from rows are bounded where they are used (contract D16).
    """

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...

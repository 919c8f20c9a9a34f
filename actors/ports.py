"""The borders of the runtime, as Protocols. The edges satisfy them structurally; only `cli` joins them.

`Homeserver` retries by itself whatever is worth retrying (contract L9, D8): its calls return when there
is a definite answer, or raise one of `machines.errors`. `AgentPlatform` never raises for what an agent
does: every request ends with a terminal frame.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

from machines.doubts import Doubts
from machines.facts import Fact, Gap, SyncBatch
from machines.ids import DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.orders import Order, Outcome, SendMessage
from machines.talk import AgentRequest, Frame
from machines.topology import Topology


class Session(Protocol):
    """Who the bot is on the homeserver; the access token stays inside `matrix`."""

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
        """Use the kept session or make one, keeping the device (contract L2).

        Raises:
            CredentialsRefused: the homeserver does not accept what was configured.
        """
        ...

    async def session_ended(self) -> None:
        """Return when the session has ended softly; every request waits for the next `login`."""
        ...

    async def initial_sync(self, since: SyncToken | None) -> tuple[SyncBatch, Topology]:
        """One full-state sync with timeout 0 (contract L3): what came after `since`, and what is.

        Raises:
            LoggedOut, CredentialsRefused, TokenUnknown: as `sync`.
        """
        ...

    async def confirm(self, topology: Topology, doubts: Doubts) -> Topology:
        """Return the topology with what is in doubt as it currently is (contract L3)."""
        ...

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        """Look at one room and at the Spaces it may belong to, for one repair (contracts C7, C12).

        `spaces` are those that the local rows name. The number of requests is bounded.
        """
        ...

    async def sync(self, since: SyncToken) -> SyncBatch:
        """Long-poll (30 000 ms) for what came after `since` (contract L6).

        Raises:
            LoggedOut: the token ended softly; `login` again and repeat.
            CredentialsRefused: the token ended for good.
            TokenUnknown: `since` is not accepted.
        """
        ...

    def history(self, gap: Gap) -> AsyncIterator[tuple[Fact, ...]]:
        """Yield what a gap holds, oldest first, a page at a time, up to its end (contract D4).

        Raises:
            TokenUnknown: the gap's tokens are not accepted.
            HistoryUnavailable: the homeserver fails at this history.
        """
        ...

    async def left_to_answer(self, room_id: RoomId) -> tuple[Fact, ...]:
        """Return the messages of a room behind the bot's place that have no answer yet (contract D12)."""
        ...

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        """Carry out one order; safe to repeat with the same `txn_id`."""
        ...

    async def find_sent(self, message: SendMessage, since: float) -> EventId | None:
        """Look in the room's history for a message that was perhaps sent at `since` or later.

        For a message whose transaction id the homeserver may have forgotten: after a day, or with
        another device.
        """
        ...

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Show or end the typing notice; best effort, dropped while the homeserver is unwell."""
        ...

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        """Set the read receipt and, where given, `m.fully_read` (contracts D6, D12); best effort."""
        ...


class AgentPlatform(Protocol):
    """The agents as the runtime sees them."""

    def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Ask once and yield frames up to one terminal frame. Closing the generator hangs up."""
        ...


class Clock(Protocol):
    """The time that the runtime reads.

    It never goes back while a process lives, whatever is done to the machine's clock, so a wait that was worked out
    from it lasts no longer than it was to last. Between two processes it may: times that come from rows are bounded
    where they are used (contract D16).
    """

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...

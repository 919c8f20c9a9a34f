"""Test doubles that need no time: an agent and a homeserver that answer at once."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from actors.agent_calls import Limits
from actors.bot import Bot
from actors.context import ContextProvider
from agent_platform import single_agent
from machines.access import Access
from machines.events.agent import (
    AgentEnd,
    AgentRequest,
    AgentTextChunk,
    Frame,
    Quoted,
)
from machines.events.matrix import Gap, MatrixEvent, SyncBatch
from machines.events.orders import (
    Done,
    Order,
    Outcome,
    SendMessage,
)
from machines.i18n import catalog_for
from machines.ids import AgentId, DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.topology import ObservedChild, ObservedRoom, Topology
from machines.room.unconfirmed import Unconfirmed
from matrix.clock import SystemClock
from matrix.http.parsing import parse_json
from matrix.sync.decoding import SyncDecoder
from store import Journal

BOT = UserId("@bot:localhost")
DEVICE = DeviceId("BENCH")
OWNER = UserId("@ann:localhost")


class InstantPlatform:
    """Echoes at once. It never answers in the context `mute`."""

    def __init__(self, mute: str = "") -> None:
        self._mute = mute

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send one piece of text and the end."""
        if request.platform_chat_id == self._mute:
            await anyio.sleep_forever()
        yield AgentTextChunk(f"echo: {request.text}")
        yield AgentEnd(1)


@dataclass(frozen=True, slots=True)
class KnownSession:
    """The result of a login without a request."""

    user_id: UserId = BOT
    device_id: DeviceId = DEVICE


class InstantHomeserver:
    """Returns `topology`, then `responses` (raw sync bodies), and performs every order at once.

    `sent` are the replies in order, as (room, event answered); `all_sent` is set when there are
    `expected` of them.
    """

    def __init__(
        self, topology: Topology, responses: Iterable[bytes] = (), expected: int = 0
    ) -> None:
        self._topology = topology
        self._responses = iter(responses)
        self._expected = expected
        self.sent: list[tuple[str, str]] = []
        self.began = anyio.Event()
        self.all_sent = anyio.Event()

    async def login(self) -> KnownSession:
        """Return a session."""
        return KnownSession()

    async def session_ended(self) -> None:
        """Never return: the session does not end."""
        await anyio.sleep_forever()

    async def initial_sync(self, since: SyncToken | None) -> tuple[SyncBatch, Topology]:
        """Return the rooms, once."""
        topology, self._topology = self._topology, Topology(BOT, {})
        return SyncBatch(SyncToken("s0")), topology

    async def confirm(self, topology: Topology, unconfirmed: Unconfirmed) -> Topology:
        """Fail: nothing here is unconfirmed."""
        raise AssertionError(f"unexpected unconfirmed rooms: {unconfirmed}")

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        """Return nothing: no room here needs a repair."""
        return Topology(BOT, {})

    async def sync(self, since: SyncToken) -> SyncBatch:
        """Decode the next response; wait forever after the last one."""
        self.began.set()
        response = next(self._responses, None)
        if response is None:
            await anyio.sleep_forever()
        return SyncDecoder(BOT, since).finish(parse_json(response or b""))

    async def history(self, gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        """Yield nothing: these timelines have no gaps."""
        no_pages: tuple[tuple[MatrixEvent, ...], ...] = ()
        for page in no_pages:
            yield page

    async def unanswered_messages(self, room_id: RoomId) -> tuple[MatrixEvent, ...]:
        """Return nothing."""
        return ()

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        """Return success."""
        if isinstance(order, SendMessage):
            self.sent.append((order.room_id, order.answers or ""))
            if len(self.sent) == self._expected:
                self.all_sent.set()
        return Done(EventId(f"${txn_id}"))

    async def find_sent(self, message: SendMessage, since: float) -> EventId | None:
        """Every message here is a new one."""
        return None

    async def quoted(self, room_id: RoomId, event_id: EventId) -> Quoted | None:
        """Return nothing."""
        return None

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        """Nobody looks."""

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        """Nobody looks."""

    async def read_position(self, room_id: RoomId) -> EventId | None:
        """Nothing was read."""
        return None


def make_bot(homeserver: InstantHomeserver, journal: Journal) -> Bot:
    """Join the runtime to the stand-ins as `cli.run` joins it to the edges."""
    registry = single_agent(None, Path("/agents"), "Agent")
    clock = SystemClock()
    context_provider = ContextProvider(
        clock=clock,
        catalog=catalog_for("en", "Lambda"),
        access=Access(BOT),
        agents=lambda: registry,
        agent_retry_s=120.0,
        agent_max_turn_s=1800.0,
    )
    return Bot(
        homeserver=homeserver,
        platform=InstantPlatform(),
        journal=journal,
        clock=clock,
        context_provider=context_provider,
        limits=Limits(),
        describe=dict,
        on_agent_change=lambda *_, **__: None,
    )


def chats(count: int) -> Topology:
    """Return one user's Space with chats, as the bot creates them."""
    space_id = RoomId("!space")
    room_ids = [_chat_id(index) for index in range(count)]
    rooms = {space_id: _room(space_id, None, room_ids)}
    for number, room_id in enumerate(room_ids, start=1):
        rooms[room_id] = _room(room_id, number, ())
    return Topology(BOT, rooms)


def message_syncs(rooms: int, messages: int, a_sync: int) -> Iterator[bytes]:
    """Yield raw sync responses in which the owner writes in one chat after the other."""
    for start in range(0, messages, a_sync):
        messages_sent = {
            number: {
                "type": "m.room.message",
                "content": {"msgtype": "m.text", "body": f"message {number}", "m.mentions": {}},
            }
            for number in range(start, min(start + a_sync, messages))
        }
        yield _response("s", rooms, messages_sent)


def membership_syncs(rooms: int, a_sync: int) -> Iterator[bytes]:
    """Yield raw sync responses that repeat the owner's membership in every chat."""
    member = {"type": "m.room.member", "state_key": OWNER, "content": {"membership": "join"}}
    for start in range(0, rooms, a_sync):
        yield _response("m", rooms, dict.fromkeys(range(start, min(start + a_sync, rooms)), member))


def _response(kind: str, rooms: int, events: Mapping[int, Mapping[str, Any]]) -> bytes:
    timelines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, event in events.items():
        common = {
            "sender": OWNER,
            "event_id": f"${kind}{number:0>42}",
            "origin_server_ts": 1_700_000_000_000 + number,
        }
        timelines[_chat_id(number % rooms)].append(common | dict(event))
    token = f"{kind}{max(events) + 1}"
    joined = {
        room_id: {"timeline": {"events": timeline, "limited": False, "prev_batch": token}}
        for room_id, timeline in timelines.items()
    }
    return json.dumps({"next_batch": token, "rooms": {"join": joined}}).encode()


def _chat_id(index: int) -> RoomId:
    return RoomId(f"!chat{index:0>38}")


def _room(room_id: RoomId, number: int | None, children: Iterable[RoomId]) -> ObservedRoom:
    binding = {
        "room_type": "space" if number is None else "chat",
        "matrix_user_id": OWNER,
        "chat_id": None if number is None else f"C{number}",
        "platform_chat_id": None if number is None else str(number),
        "agent_id": None if number is None else AgentId("default"),
        "space_id": None if number is None else RoomId("!space"),
        "archived": False,
    }
    return ObservedRoom(
        room_id,
        created_by=BOT,
        created_at_ms=number or 0,
        is_space=number is None,
        children=tuple(ObservedChild(child, BOT, ("localhost",)) for child in children),
        members=(OWNER,),
        name="Chat",
        binding=binding,
    )

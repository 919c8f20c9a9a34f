"""Makes rooms and Spaces, once each, though `createRoom` is not idempotent (contracts O3, K2; fact 5).

Every room carries a nonce in its `m.room.create`. Before a room is made, and before it is tried again,
the nonce is looked for in the rooms the bot is joined to; a request that went unanswered may still be at
work in the homeserver, so it is looked for several times before it counts as lost.
"""

from collections.abc import Sequence

import anyio

from machines.ids import RoomId
from machines.orders import CreateRoom
from machines.topology import Topology
from matrix.clock import Clock
from matrix.errors import RequestRefused, Unreachable
from matrix.http.request import Request, client_path
from matrix.http.transport import MAX_CONCURRENT_READS, Transport
from matrix.keys import NONCE_KEY
from matrix.raw_events import is_id
from matrix.rooms.current_state import CurrentState
from matrix.rooms.initial_state import finish_room, room_body

# Making a room takes Synapse a second or more when it is busy; giving up early makes two.
CREATE_TIMEOUT_S = 90.0

# How long to look for a room whose creation went unanswered, and after which pauses.
_LOOK_AGAIN_S = (1.0, 2.0, 4.0, 8.0)

# A bot killed while making a room may be back before the homeserver has finished it: an order of the
# earlier process makes no room before this much time has passed since the start.
SETTLING_S = 3.0

# A body that makes the homeserver fail is poison after so many tries (contract D9).
_MAX_TRIES = 4


class RoomCreator:
    """Makes rooms and knows the nonces of those that exist."""

    def __init__(self, transport: Transport, current: CurrentState, clock: Clock) -> None:
        self._transport = transport
        self._reader = current.reader()
        self._bot = current.bot
        self._clock = clock
        self._started = clock.now()
        self._by_nonce: dict[str, RoomId] = {}
        self._looked_into: set[RoomId] = set()

    def remember(self, topology: Topology) -> None:
        """Note the nonces of rooms that were read already, so that they are not asked again."""
        for room in topology.rooms.values():
            self._looked_into.add(room.room_id)
            if room.nonce is not None and room.created_by == self._bot:
                self._by_nonce[room.nonce] = room.room_id

    async def make(self, order: CreateRoom) -> RoomId:
        """Return the room with the order's nonce, made now or before.

        Raises:
            RequestRefused: the homeserver will not make it.
        """
        room_id = await self._find(order.nonce)
        settling_s = self._started + SETTLING_S - self._clock.now()
        if room_id is None and order.repeated and settling_s > 0:
            await self._clock.sleep(min(settling_s, SETTLING_S))
            room_id = await self._find(order.nonce)
        tries = 0
        while room_id is None:
            tries += 1
            try:
                return await self._create(order)
            except Unreachable as trouble:
                room_id = await self._look_again(order.nonce, trouble)
                if room_id is None and tries >= _MAX_TRIES and trouble.kind == "broken":
                    raise RequestRefused(500, "M_UNKNOWN", trouble.reason) from trouble
        await finish_room(self._transport, room_id, order, self._bot)
        return room_id

    async def _create(self, order: CreateRoom) -> RoomId:
        answer = await self._transport.request(
            Request(
                "POST",
                client_path("createRoom"),
                body=room_body(order, self._bot),
                bucket="create",
                timeout_s=CREATE_TIMEOUT_S,
                idempotent=False,
            )
        )
        room_id = answer.get("room_id") if isinstance(answer, dict) else None
        if not is_id(room_id, "!"):
            raise Unreachable("broken", "the homeserver does not name the room it made")
        self._looked_into.add(RoomId(room_id))
        self._by_nonce[order.nonce] = RoomId(room_id)
        return RoomId(room_id)

    async def _look_again(self, nonce: str, trouble: Unreachable) -> RoomId | None:
        if trouble.kind == "connect":
            return None  # never sent
        for pause_s in _LOOK_AGAIN_S:
            await self._clock.sleep(pause_s)
            room_id = await self._find(nonce)
            if room_id is not None:
                return room_id
        return None

    async def _find(self, nonce: str) -> RoomId | None:
        """Look for a nonce in the joined rooms, asking only those not asked before."""
        if nonce in self._by_nonce:
            return self._by_nonce[nonce]
        answer = await self._transport.request(Request("GET", client_path("joined_rooms")))
        joined = answer.get("joined_rooms") if isinstance(answer, dict) else None
        new = [
            RoomId(room_id)
            for room_id in (joined if isinstance(joined, list) else [])
            if is_id(room_id, "!") and room_id not in self._looked_into
        ]
        await self._look_into(new)
        return self._by_nonce.get(nonce)

    async def _look_into(self, room_ids: Sequence[RoomId]) -> None:
        async with anyio.create_task_group() as tasks:
            limit = anyio.CapacityLimiter(MAX_CONCURRENT_READS)

            async def look(room_id: RoomId) -> None:
                async with limit:
                    await self._read_nonce(room_id)

            for room_id in room_ids:
                tasks.start_soon(look, room_id)

    async def _read_nonce(self, room_id: RoomId) -> None:
        try:
            content = await self._transport.request(
                Request("GET", client_path("rooms", room_id, "state", "m.room.create", ""))
            )
            nonce = content.get(NONCE_KEY) if isinstance(content, dict) else None
            if type(nonce) is str and await self._is_ours(room_id):
                self._by_nonce[nonce] = room_id
        except RequestRefused as refused:
            if refused.status >= 500:
                return  # not an answer; asked again next time
        self._looked_into.add(room_id)

    async def _is_ours(self, room_id: RoomId) -> bool:
        """Whether the bot made the room: anybody can write a nonce into a room of his own."""
        create = await self._reader.event(room_id, "m.room.create")
        return create is not None and create.get("sender") == self._bot

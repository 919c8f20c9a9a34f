"""Creates rooms and Spaces exactly once, although `createRoom` is not idempotent (contracts O3, K2; fact 5).

Every room carries a nonce in its `m.room.create`. Before a room is created, and before a retry, the nonce is searched
for in the bot's joined rooms. The homeserver may still be working on a request that got no answer, so the search is
repeated several times before the request counts as lost.
"""

from functools import partial

from machines.events.orders import CreateRoom
from machines.ids import RoomId
from machines.room.topology import Topology
from matrix.clock import Clock
from matrix.errors import RequestRefused, Unreachable
from matrix.http.request import Request, client_path, run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.keys import NONCE_KEY
from matrix.raw_events import as_dict, is_id, joined_room_ids
from matrix.rooms.current_state import CurrentState
from matrix.rooms.initial_state import finish_room, invite, room_body

# A busy Synapse needs a second or more to create a room; a short timeout would create two.
CREATE_TIMEOUT_S = 90.0

# The pauses between the searches for a room whose creation got no answer.
_SEARCH_PAUSES_S = (1.0, 2.0, 4.0, 8.0)

# A bot that was killed during `createRoom` may restart before the homeserver has finished it: an order of the earlier
# process creates no room before this much time has passed since the start.
RESTART_DELAY_S = 3.0

# After so many tries a body at which the homeserver fails is poison (contract D9).
_MAX_TRIES = 4


class RoomCreator:
    """Creates rooms, and records the nonces of the existing ones."""

    def __init__(self, transport: Transport, current: CurrentState, clock: Clock) -> None:
        self._transport = transport
        self._reader = current.reader()
        self._bot = current.bot
        self._clock = clock
        self._started = clock.now()
        self._by_nonce: dict[str, RoomId] = {}
        self._searched: set[RoomId] = set()
        self._room_version: object = None

    def record(self, topology: Topology) -> None:
        """Record the nonces of rooms that were already read, so that they are not requested again."""
        for room in topology.rooms.values():
            self._searched.add(room.room_id)
            if room.nonce is not None and room.created_by == self._bot:
                self._by_nonce[room.nonce] = room.room_id

    async def create(self, order: CreateRoom) -> RoomId:
        """Return the room with the order's nonce, created now or before.

        Raises:
            RequestRefused: the homeserver refuses to create it.
        """
        room_id = await self._find(order.nonce)
        delay_s = self._started + RESTART_DELAY_S - self._clock.now()
        if room_id is None and order.repeated and delay_s > 0:
            await self._clock.sleep(min(delay_s, RESTART_DELAY_S))
            room_id = await self._find(order.nonce)
        tries = 0
        while room_id is None:
            tries += 1
            try:
                created = await self._create(order)
            except Unreachable as failure:
                room_id = await self._find_later(order.nonce, failure)
                if room_id is None and tries >= _MAX_TRIES and failure.kind == "broken":
                    raise RequestRefused(500, "M_UNKNOWN", failure.reason) from failure
            else:
                await invite(self._transport, created, order.invite, order.reason)
                return created
        await finish_room(self._transport, room_id, order, self._bot)
        return room_id

    async def _create(self, order: CreateRoom) -> RoomId:
        version = await self._default_version() if order.parent is not None else None
        answer = await self._transport.request(
            Request(
                "POST",
                client_path("createRoom"),
                body=room_body(order, self._bot, version),
                bucket="create",
                timeout_s=CREATE_TIMEOUT_S,
                idempotent=False,
            )
        )
        room_id = as_dict(answer).get("room_id")
        if not is_id(room_id, "!"):
            raise Unreachable("broken", "the homeserver does not name the room it created")
        self._searched.add(RoomId(room_id))
        self._by_nonce[order.nonce] = RoomId(room_id)
        return RoomId(room_id)

    async def _default_version(self) -> object:
        """Return the version of new rooms, `None` if the homeserver does not name it; it is read once."""
        if self._room_version is None:
            answer = await self._transport.get("capabilities", absent=ANY_STATUS)
            versions = as_dict(as_dict(answer).get("capabilities")).get("m.room_versions")
            self._room_version = as_dict(versions).get("default")
        return self._room_version

    async def _find_later(self, nonce: str, failure: Unreachable) -> RoomId | None:
        if failure.kind == "connect":
            return None  # never sent
        for pause_s in _SEARCH_PAUSES_S:
            await self._clock.sleep(pause_s)
            room_id = await self._find(nonce)
            if room_id is not None:
                return room_id
        return None

    async def _find(self, nonce: str) -> RoomId | None:
        """Search for a nonce in the joined rooms; each room is read only once."""
        if nonce not in self._by_nonce:
            answer = await self._transport.get("joined_rooms")
            new = (joined_room_ids(answer) or frozenset()) - self._searched
            await run_reads(partial(self._read_nonce, room_id) for room_id in sorted(new))
        return self._by_nonce.get(nonce)

    async def _read_nonce(self, room_id: RoomId) -> None:
        try:
            content = await self._transport.get("rooms", room_id, "state", "m.room.create", "")
            nonce = as_dict(content).get(NONCE_KEY)
            if type(nonce) is str and await self._is_own(room_id):
                self._by_nonce[nonce] = room_id
        except RequestRefused as refused:
            if refused.status >= 500:
                return  # not an answer; the room is read again next time
        self._searched.add(room_id)

    async def _is_own(self, room_id: RoomId) -> bool:
        """Whether the bot created the room: any user can write a nonce into a room of their own."""
        create = await self._reader.event(room_id, "m.room.create")
        return create is not None and create.get("sender") == self._bot

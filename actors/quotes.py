"""Adds the message that a user replies to to the request to the agent (contract D18).

The message is read when the first attempt of a turn starts, and kept for its other attempts, so that all of them are
equal. After a restart it is read again. If the homeserver does not respond in time, the agent is asked without it.
"""

from collections import OrderedDict

import anyio
from msgspec.structs import replace

from actors.ports import Homeserver
from machines.events.agent import AgentRequest, Quoted
from machines.ids import RoomId

QUOTE_TIMEOUT_S = 10.0
"""How long an agent call waits for the quoted message."""
MAX_CONCURRENT_QUOTES = 20
MAX_CACHED_QUOTES = 256


class Quotes:
    """Reads quoted messages, and keeps the newest of them."""

    def __init__(self, homeserver: Homeserver) -> None:
        self._homeserver = homeserver
        self._read: OrderedDict[tuple[RoomId, str], Quoted | None] = OrderedDict()
        self._limit = anyio.Semaphore(MAX_CONCURRENT_QUOTES)

    async def add_to(self, request: AgentRequest, room_id: RoomId) -> AgentRequest:
        """Return the request with the message that it quotes, if there is one and it can be read."""
        if request.quoted_event is None:
            return request
        key = (room_id, request.message_id)
        if key not in self._read:
            with anyio.move_on_after(QUOTE_TIMEOUT_S):
                async with self._limit:
                    self._keep(key, await self._homeserver.quoted(room_id, request.quoted_event))
        return replace(request, quoted=self._read.get(key))

    def _keep(self, key: tuple[RoomId, str], quoted: Quoted | None) -> None:
        self._read[key] = quoted
        if len(self._read) > MAX_CACHED_QUOTES:
            self._read.popitem(last=False)

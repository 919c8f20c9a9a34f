"""Reads that complete the events of a sync, and that a sync can do without (contract D14).

They stand before the journal, so all rooms wait for them: for at most `READ_WITHIN_S`. A homeserver may need minutes
for one room, for example for the members of one that it has only partly joined. Such a room is not read again for
`SLOW_ROOM_PAUSE_S`, so that whoever writes there does not slow down everybody's sync.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from machines.ids import EventId, RoomId, UserId
from matrix.clock import Clock
from matrix.http.request import run_reads
from matrix.http.transport import ANY_STATUS, Transport
from matrix.raw_events import as_dict

READ_WITHIN_S = 1.0
SLOW_ROOM_PAUSE_S = 300.0

Target = tuple[RoomId, EventId | UserId]


class OptionalReads:
    """Reads for one account; it knows the rooms that were too slow."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._slow_until: dict[RoomId, float] = {}

    async def read(
        self, path_of: Callable[[Target], tuple[str, ...]], targets: list[Target]
    ) -> Mapping[Target, dict[str, Any]]:
        """Return what the paths of the targets have, as objects; without those that can't be read in time."""
        now = self._clock.now()
        self._slow_until = {room: until for room, until in self._slow_until.items() if until > now}
        unread = dict.fromkeys(each for each in targets if each[0] not in self._slow_until)
        found: dict[Target, dict[str, Any]] = {}

        def reading(target: Target) -> Callable[[], Awaitable[None]]:
            async def read() -> None:
                answer = await self._transport.get(*path_of(target), absent=ANY_STATUS)
                found[target] = as_dict(answer)

            return read

        with anyio.move_on_after(READ_WITHIN_S):
            await run_reads(map(reading, unread))
        for room_id, _ in unread.keys() - found.keys():
            self._slow_until[room_id] = now + SLOW_ROOM_PAUSE_S
        return found

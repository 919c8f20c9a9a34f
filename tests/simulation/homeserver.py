"""The homeserver in memory on the simulated clock, with forks drawn from the seed.

`api` passes the bot's requests on to it; the simulated users call it directly.
"""

from collections.abc import Mapping
from typing import Any

from tests.simulation.forks import Forks, can_be_siblings
from tests.simulation.kernel import Kernel, Violation
from tests.support.content_keys import NONCE
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.rooms import Event, Room


class SimulatedHomeserver(Homeserver):
    """The homeserver of one history. Without `forks` no room forks, and no response is random."""

    def __init__(self, kernel: Kernel, bot: str, forks: Forks | None = None) -> None:
        if forks is None:
            super().__init__("hs")
        else:
            super().__init__("hs", forks.rng.random)
        self.kernel = kernel
        self.bot = bot
        self.forks = forks

    def create_room(
        self, creator: str, request: Mapping[str, Any], events: int | None = None
    ) -> Room:
        """Create a room.

        Raises:
            Violation: there is a room with this nonce already.
        """
        nonce = request.get("creation_content", {}).get(NONCE)
        is_second = nonce is not None and any(
            room.events[0].content.get(NONCE) == nonce for room in self.rooms.values()
        )
        room = super().create_room(creator, request, events)
        if is_second:
            raise Violation(f"a second room was created for {nonce!r} (contracts O3, K2)")
        return room

    def concurrent_with(self, room: Room, event: Event, *, at_once: bool) -> Event | None:
        """Return the last event where the new one is sent at the same time: if asked for, or drawn."""
        if self.forks is None or not room.events:
            return None
        last = room.events[-1]
        if not (at_once and can_be_siblings(room, last, event)) and not self.forks.splits(
            room, last, event
        ):
            return None
        self.forks.count += 1
        self.kernel.log(f"   {event.event_id} {event.type} AT ONCE WITH {last.event_id}")
        return last

    def new_id(self, sigil: str, number: int) -> str:
        """Return a short id, to keep the trace readable."""
        return f"{sigil}{number:0>5}"

    def now_ms(self) -> int:
        """Return the simulated time."""
        return int(self.kernel.now * 1000)

"""How long rendering holds the event loop: the worst texts of 64 KiB that are known, sent one after the other.

Comparison the longest wait of something else on the loop stands the longest rendering: what the wait would be if the
text were rendered on the loop.
"""

import time
from collections.abc import Iterator
from typing import Any, cast

import anyio

from machines.events.orders import SendMessage
from machines.ids import RoomId, TxnId, UserId
from machines.room.topology import ObservedRoom, Topology
from matrix.http.transport import Transport
from matrix.rooms.create import RoomCreator
from matrix.rooms.perform import OrderPerformer
from tests.bench.figures import Comparison, Figure, Goal
from tests.matrix.markdown_corpus import corpus

TITLE = "Rendering: the worst texts of 64 KiB"
_SIZE = 64 * 1024
_TICK_S = 0.001
_ROOM = RoomId("!room")
_BOT = UserId("@bot:localhost")


class _Sink:
    """A transport that takes everything."""

    async def request(self, _call: object) -> dict[str, Any]:
        return {"event_id": "$sent"}

    async def get(self, *_path: str, absent: object) -> None:
        """No room is encrypted."""


def measure() -> Iterator[Figure]:
    """Send each text, and look how late a clock on the same loop ticks."""
    held, taken = anyio.run(_worst)
    beside = (Comparison("the longest rendering", taken * 1000),)
    yield Figure("the event loop is held, longest", held * 1000, "ms", beside, Goal("at most", 100))


async def _worst() -> tuple[float, float]:
    performer = OrderPerformer(cast("Transport", _Sink()), cast("RoomCreator", None), _BOT)
    performer.record(Topology(_BOT, {_ROOM: ObservedRoom(_ROOM, _BOT, 0)}))
    held = taken = 0.0

    async def tick() -> None:
        nonlocal held
        while True:
            began = time.perf_counter()
            await anyio.sleep(_TICK_S)
            held = max(held, time.perf_counter() - began - _TICK_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        for number, (_name, text) in enumerate(corpus(_SIZE)):
            began = time.perf_counter()
            await performer.perform(SendMessage(_ROOM, text), TxnId(str(number)))
            taken = max(taken, time.perf_counter() - began)
        tasks.cancel_scope.cancel()
    return held, taken

"""How long rendering blocks the event loop, with the slowest known texts of 64 KiB.

The longest delay of another task is compared with the longest rendering, which would be the delay if texts were
rendered on the loop.
"""

import time
from collections.abc import Iterator
from typing import Any, cast

import anyio

from machines.events.orders import Done, SendMessage
from machines.ids import RoomId, TxnId, UserId
from matrix.errors import RequestRefused
from matrix.http.request import Request
from matrix.http.transport import Transport
from matrix.rooms.create import RoomCreator
from matrix.rooms.perform import OrderPerformer
from tests.bench.figures import BenchFailed, Comparison, Figure, Goal
from tests.matrix.markdown_corpus import corpus

TITLE = "Rendering: the worst texts of 64 KiB"
_SIZE = 64 * 1024
_TICK_S = 0.001
_ROOM = RoomId("!room")
_BOT = UserId("@bot:localhost")


class _Sink:
    """A transport that accepts every message, in a room that is not encrypted."""

    async def request(self, call: Request) -> dict[str, Any]:
        if call.method == "GET":
            raise RequestRefused(404, "M_NOT_FOUND", "Event not found.")
        return {"event_id": "$sent"}


def measure() -> Iterator[Figure]:
    """Send each text, and measure the delay of a timer on the same loop."""
    held, rendered = anyio.run(_worst)
    beside = (Comparison("the longest rendering", rendered * 1000),)
    yield Figure("the event loop is held, longest", held * 1000, "ms", beside, Goal("at most", 100))


async def _worst() -> tuple[float, float]:
    performer = OrderPerformer(cast("Transport", _Sink()), cast("RoomCreator", None), _BOT)
    held = rendered = 0.0

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
            outcome = await performer.perform(SendMessage(_ROOM, text), TxnId(str(number)))
            if not isinstance(outcome, Done):
                raise BenchFailed(f"a text was not sent: {outcome}")
            rendered = max(rendered, time.perf_counter() - began)
        tasks.cancel_scope.cancel()
    return held, rendered

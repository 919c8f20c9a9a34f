"""What the other rooms feel while one room is flooded: 500 messages in it at once (contract D11).

From the same moment on there are a hundred messages a second in two hundred other rooms. Timed is from a message to the
first sign of its reply, in the other rooms only; all must be answered, the flood too. Beside it stands the same without
the flood, and a bot that takes one message after the other.
"""

from collections.abc import Iterator

import anyio

from sandbox.memory_homeserver.process import MemoryHomeserver
from tests.bench.bots import BOT, INSTANT, NIO, Kind, check, running
from tests.bench.figures import Beside, Figure, Goal

TITLE = "Flood: 500 messages at once in one room, 100/s in 200 others"
_FLOOD = 500
_OTHERS = 200
_PER_S = 100
_MESSAGES = 300
_WARM_UP = 1 + _OTHERS
_CALM = "without the flood"


def measure() -> Iterator[Figure]:
    """Flood a room of each bot, and ours once without."""
    ours = anyio.run(_first_signs, INSTANT, _FLOOD)
    calm = anyio.run(_first_signs, INSTANT, 0)
    nio = anyio.run(_first_signs, NIO, _FLOOD)
    goals = {"p99": Goal("at most", 500.0)}
    for key in ("p50", "p99", "p100"):
        beside = (Beside(_CALM, calm[key]), Beside(NIO.name, nio[key]))
        yield Figure(f"in the others, {key}", ours[key], "ms", beside, goals.get(key))


async def _first_signs(kind: Kind, flood: int) -> dict[str, float]:
    async with MemoryHomeserver() as homeserver:
        await homeserver.populate(BOT, users=1 + _OTHERS)
        async with running(kind, homeserver):
            await homeserver.inject(_WARM_UP)
            await homeserver.wait_finished(_WARM_UP)
            await homeserver.reset()
            if flood:
                await homeserver.inject(flood, rooms=1)
            started = anyio.current_time()
            for number in range(_MESSAGES):
                await anyio.sleep_until(started + number / _PER_S)
                await homeserver.inject(1, first=1)
            everything = flood + _MESSAGES
            stats = await homeserver.wait_finished(everything, 120.0, since=flood)
            check(kind, stats, everything)
    measured: dict[str, float] = stats["first_reply_ms"]
    return measured

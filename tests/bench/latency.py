"""The latency of replies at low load: twenty messages a second in twenty rooms."""

from collections.abc import Iterator

import anyio

from tests.bench.bots import BOT, INSTANT, NIO, Kind, check, running
from tests.bench.figures import Comparison, Figure, Goal
from tests.bench.resources import cpu_s
from tests.support.memory_homeserver.process import MemoryHomeserver

TITLE = "Latency: 20 messages a second over 20 rooms"
_ROOMS = 20
_PER_S = 20
_SECONDS = 12
_MESSAGES = _PER_S * _SECONDS
_WARM_UP = 20


def measure() -> Iterator[Figure]:
    """Measure both bots, one after the other."""
    ours = anyio.run(_latencies, INSTANT)
    nio = anyio.run(_latencies, NIO)
    goals = {"p95": Goal("at most", 5.0)}
    for key in ("p50", "p95", "p99"):
        beside = (Comparison(NIO.name, nio[key]),)
        yield Figure(f"message to whole reply, {key}", ours[key], "ms", beside, goals.get(key))
    cost = (Comparison(NIO.name, nio["cpu_ms"]),)
    yield Figure("processor time a message", ours["cpu_ms"], "ms", cost)


async def _latencies(kind: Kind) -> dict[str, float]:
    async with MemoryHomeserver() as homeserver:
        await homeserver.populate(BOT, users=_ROOMS // 10, chats=10)
        async with running(kind, homeserver) as bot:
            await homeserver.inject(_WARM_UP, rooms=_ROOMS)
            await homeserver.wait_finished(_WARM_UP)
            await homeserver.reset()
            before = cpu_s(bot.pid)
            started = anyio.current_time()
            for number in range(_MESSAGES):
                await anyio.sleep_until(started + number / _PER_S)
                await homeserver.inject(1, rooms=_ROOMS)
            stats = await homeserver.wait_finished(_MESSAGES)
            used = cpu_s(bot.pid) - before
            check(kind, stats, _MESSAGES)
    measured: dict[str, float] = stats["finished_ms"]
    return measured | {"cpu_ms": used / _MESSAGES * 1000}

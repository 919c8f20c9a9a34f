"""Messages a second when thousands arrive at once, with every message answered once and in order.

The daemon runs as a process against the homeserver in memory; its agent answers at once, in its process or over a
real WebSocket. Then the same with a homeserver that takes 15 ms for each message, where a bot that sends one
message at a time reaches at most 67 a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import anyio

from tests.bench.agent_process import agent_process
from tests.bench.bots import BOT, DAEMON, INSTANT, NIO, Kind, check, running
from tests.bench.figures import Comparison, Figure, Goal
from tests.bench.resources import cpu_s
from tests.support.memory_homeserver.process import MemoryHomeserver

TITLE = "Drain: thousands of messages at once over 50 rooms"
_ROOMS = 50
_MESSAGES = 5_000
_SLOW_PUT_MS = 15.0
_FEW_MESSAGES = 500
"""Fewer for a bot that sends one message at a time, which takes eight seconds for these."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The speed and the processor time."""

    per_s: float
    cpu_ms: float


def measure() -> Iterator[Figure]:
    """Measure each bot, on the quick homeserver and on the slow one."""
    yield from anyio.run(_quick)
    yield from anyio.run(_slow)


async def _quick() -> list[Figure]:
    ours = await _drain(INSTANT, _MESSAGES)
    async with agent_process() as url:
        agent = {"MATRIX_PLATFORM_BACKEND": "real", "AGENT_BASE_URL": url}
        real = await _drain(DAEMON, _MESSAGES, environment=agent)
    nio = await _drain(NIO, _MESSAGES)
    speed, cost = (Comparison(NIO.name, nio.per_s),), (Comparison(NIO.name, nio.cpu_ms),)
    return [
        Figure("messages answered", ours.per_s, "/s", speed, Goal("at least", 3_500)),
        Figure("processor time a message", ours.cpu_ms, "ms", cost, Goal("at most", 0.3)),
        Figure("answered, agent over a WebSocket", real.per_s, "/s", speed),
        Figure("processor time a message", real.cpu_ms, "ms", cost),
    ]


async def _slow() -> list[Figure]:
    ours = await _drain(INSTANT, _MESSAGES, put_delay_ms=_SLOW_PUT_MS)
    nio = await _drain(NIO, _FEW_MESSAGES, put_delay_ms=_SLOW_PUT_MS)
    beside = (Comparison(f"{NIO.name} ({_FEW_MESSAGES} messages)", nio.per_s),)
    what = f"answered, {_SLOW_PUT_MS:g} ms a PUT"
    return [Figure(what, ours.per_s, "/s", beside, Goal("at least", 2_000))]


async def _drain(
    kind: Kind,
    messages: int,
    *,
    put_delay_ms: float = 0.0,
    environment: Mapping[str, str] | None = None,
) -> Drained:
    """Drain a homeserver of its own: a bot may answer what another one left."""
    async with MemoryHomeserver(put_delay_ms=put_delay_ms) as homeserver:
        await homeserver.populate(BOT, users=_ROOMS // 10, chats=10)
        async with running(kind, homeserver, environment) as bot:
            before = cpu_s(bot.pid)
            await homeserver.inject(messages, rooms=_ROOMS)
            stats = await homeserver.wait_finished(messages, 120.0)
            used = cpu_s(bot.pid) - before
    check(kind, stats, messages)
    return Drained(stats["finished_per_s"], used / messages * 1000)

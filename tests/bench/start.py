"""The time from the start of the process to the first answered message, and the peak memory until then.

*Cold* is a start without a database: every room is recovered from the homeserver's topology. *Warm* is the next
start, which reconciles every room again and finds no changes. The message is sent once the bot is live. The
bare nio bot does its documented full-state sync; cold it has no sync token, warm it has.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from sandbox.daemon import Daemon
from tests.bench.bots import BOT, INSTANT, NIO, Kind, check, daemon_of
from tests.bench.figures import Comparison, Figure, Goal
from tests.bench.resources import peak_rss_mib
from tests.bench.table import number
from tests.support.memory_homeserver.process import MemoryHomeserver

TITLE = "Start to first answered message"
_CHATS = (100, 1_000, 10_000)
_CHATS_A_USER = 10
_TIMEOUT_S = 120.0
_COLD_GOAL = Goal("at most", 3.0)
_WARM_GOAL = Goal("at most", 1.5)
_MEMORY_GOAL = Goal("at most", 150.0)


@dataclass(frozen=True, slots=True)
class Started:
    """Both starts of one bot: seconds to the first answer, and the larger of the peaks."""

    cold_s: float
    warm_s: float
    peak_mib: float


def measure() -> Iterator[Figure]:
    """Start both bots, cold and warm, with few chats and with many."""
    for chats in _CHATS:
        ours, nio = anyio.run(_starts, INSTANT, chats), anyio.run(_starts, NIO, chats)
        most = chats == max(_CHATS)
        yield Figure(
            f"cold, {number(chats)} chats",
            ours.cold_s,
            "s",
            (Comparison(NIO.name, nio.cold_s),),
            _COLD_GOAL if most else None,
        )
        yield Figure(
            "warm",
            ours.warm_s,
            "s",
            (Comparison(NIO.name, nio.warm_s),),
            _WARM_GOAL if most else None,
        )
        yield Figure(
            "peak memory",
            ours.peak_mib,
            "MiB",
            (Comparison(NIO.name, nio.peak_mib),),
            _MEMORY_GOAL if most else None,
        )


async def _starts(kind: Kind, chats: int) -> Started:
    async with MemoryHomeserver() as homeserver:
        await homeserver.populate(BOT, users=chats // _CHATS_A_USER, chats=_CHATS_A_USER)
        with TemporaryDirectory() as name:
            bot = daemon_of(kind, homeserver.url, Path(name))
            cold_s, cold_mib = await _start(kind, bot, homeserver)
            warm_s, warm_mib = await _start(kind, bot, homeserver)
    return Started(cold_s, warm_s, max(cold_mib, warm_mib))


async def _start(kind: Kind, bot: Daemon, homeserver: MemoryHomeserver) -> tuple[float, float]:
    await homeserver.reset()
    began = time.perf_counter()
    async with bot:
        await bot.wait_live(_TIMEOUT_S)
        await homeserver.inject(1)
        stats = await homeserver.wait_finished(1, _TIMEOUT_S)
        seconds = time.perf_counter() - began
        check(kind, stats, 1)
        peak_mib = peak_rss_mib(bot.pid)
        await bot.stop()
    return seconds, peak_mib

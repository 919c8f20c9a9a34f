"""Kills the daemon at random moments, and sometimes the homeserver."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from tests.soak.soak_fixture import SoakFixture

_COMING_UP_S = 0.9
"""About the time of a start: a daemon that is killed earlier was still starting."""
_LIVES_S = 1.2
_LIVE_AFTER_S = 90.0
_HOMESERVER_EVERY = 10
"""The homeserver is killed once in so many kills of the daemon."""


class SoakFailed(Exception):
    """The daemon failed in a way that no kill explains."""


@dataclass(slots=True)
class KillRecord:
    """The kills; `at` has those of the daemon, in seconds since the epoch."""

    at: list[float] = field(default_factory=list)
    before_live: int = 0
    """The number of them before the daemon was live."""
    homeservers: int = 0
    live_after_s: list[float] = field(default_factory=list)
    """From the start of a process to `bot_live`, of those that reached it."""


async def kill_repeatedly(
    setup: SoakFixture, kills: int, rng: random.Random, progress: Callable[[KillRecord], None]
) -> KillRecord:
    """Kill and restart the daemon so many times.

    Raises:
        SoakFailed: the daemon ended by itself.
    """
    record = KillRecord()
    for number in range(1, kills + 1):
        if number % _HOMESERVER_EVERY == _HOMESERVER_EVERY // 2:
            await _kill_homeserver(setup, rng)
            record.homeservers += 1
        await _wait_before_kill(setup, rng, record)
        if not setup.daemon.running:
            code = await setup.daemon.wait_ended()
            raise SoakFailed(f"the daemon ended by itself with code {code}: {_last_output(setup)}")
        record.at.append(time.time())
        await setup.daemon.kill()
        await setup.daemon.start()
        progress(record)
    return record


async def _wait_before_kill(setup: SoakFixture, rng: random.Random, record: KillRecord) -> None:
    if rng.random() < 0.25:
        record.before_live += 1
        await anyio.sleep(rng.uniform(0.0, _COMING_UP_S))
        return
    began = time.monotonic()
    await setup.daemon.wait_live(_LIVE_AFTER_S)
    if record.at:
        record.live_after_s.append(time.monotonic() - began)
    await anyio.sleep(rng.uniform(0.0, _LIVES_S))


async def _kill_homeserver(setup: SoakFixture, rng: random.Random) -> None:
    await setup.synapse.kill()
    await anyio.sleep(rng.uniform(0.0, 1.0))
    await setup.synapse.start()


def _last_output(setup: SoakFixture) -> str:
    return " ".join(setup.daemon.other_output[-3:])

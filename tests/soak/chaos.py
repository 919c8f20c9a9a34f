"""Who is killed when: the daemon at random moments of its life, the homeserver now and then."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from tests.soak.stage import Stage

_COMING_UP_S = 0.9
"""A start takes about this long: what is killed earlier was on its way up."""
_LIVES_S = 1.2
_LIVE_AFTER_S = 90.0
_HOMESERVER_EVERY = 10
"""One in so many kills takes the homeserver too."""


class SoakFailed(Exception):
    """The daemon did something that no kill explains."""


@dataclass(slots=True)
class Toll:
    """What was killed; `at` are the moments of the daemon's deaths, seconds since the epoch."""

    at: list[float] = field(default_factory=list)
    young: int = 0
    """How many of them came before it was live."""
    homeservers: int = 0
    live_after_s: list[float] = field(default_factory=list)
    """From a process' start to `bot_live`, of those that lived to see it."""


async def kill_again_and_again(
    stage: Stage, kills: int, chance: random.Random, progress: Callable[[Toll], None]
) -> Toll:
    """Kill the daemon so many times; at the end it runs.

    Raises:
        SoakFailed: it ended by itself.
    """
    toll = Toll()
    for number in range(1, kills + 1):
        if number % _HOMESERVER_EVERY == _HOMESERVER_EVERY // 2:
            await _kill_homeserver(stage, chance)
            toll.homeservers += 1
        await _let_live(stage, chance, toll)
        if not stage.daemon.running:
            code = await stage.daemon.wait_ended()
            raise SoakFailed(f"the daemon ended by itself with code {code}: {_last_words(stage)}")
        toll.at.append(time.time())
        await stage.daemon.kill()
        await stage.daemon.start()
        progress(toll)
    return toll


async def _let_live(stage: Stage, chance: random.Random, toll: Toll) -> None:
    if chance.random() < 0.25:
        toll.young += 1
        await anyio.sleep(chance.uniform(0.0, _COMING_UP_S))
        return
    began = time.monotonic()
    await stage.daemon.wait_live(_LIVE_AFTER_S)
    if toll.at:
        toll.live_after_s.append(time.monotonic() - began)
    await anyio.sleep(chance.uniform(0.0, _LIVES_S))


async def _kill_homeserver(stage: Stage, chance: random.Random) -> None:
    await stage.synapse.kill()
    await anyio.sleep(chance.uniform(0.0, 1.0))
    await stage.synapse.start()


def _last_words(stage: Stage) -> str:
    return " ".join(stage.daemon.other_output[-3:])

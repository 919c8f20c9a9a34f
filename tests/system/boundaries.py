"""Killing a daemon between any two of its requests: the way to every boundary of one piece of work.

A first, undisturbed run tells how many requests the work takes. Then, for each of them and for both of its sides, the
work is done for somebody new, the daemon is killed there, and what its next start makes of it is checked. Boundaries
are independent of each other, so a few bots share them out.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Fault, Hold, ProxiedRequest, Proxy
from tests.system.cast import PASSWORD, Bot
from tests.system.conftest import MakeBot, MakePerson

BOTS = 3


@dataclass
class Scene:
    """One person in front of one bot, and what is remembered between two steps of the work."""

    bot: Bot
    person: MatrixUser
    notes: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Work:
    """What is interrupted: `prepare` it, `begin` it, see that it has `ended`, and `use` what it has made.

    `check` is asked at the end of all, with the bot's own session and everything that was played in front of it:
    by then the daemon has drained, so that nothing more can come.
    """

    prepare: Step
    begin: Step
    ended: Step
    use: Step
    check: Callable[[MatrixUser, Sequence[Scene]], Awaitable[None]]


@dataclass(frozen=True)
class Stage:
    """A bot behind a proxy of its own, and the scenes that were played in front of it."""

    bot: Bot
    proxy: Proxy
    make_person: MakePerson
    scenes: list[Scene] = field(default_factory=list)

    async def undisturbed(self, work: Work) -> list[ProxiedRequest]:
        """Have the work done and return the requests it took."""
        scene = await self._prepared(work)
        before = len(self.proxy.requests)
        await work.begin(scene)
        await work.ended(scene)
        assert await self.bot.daemon.stop() == 0
        requests = [each for each in self.proxy.requests[before:] if is_order(each)]
        await self._start()
        await work.use(scene)
        return requests

    async def interrupted(self, work: Work, request: int, done: bool) -> None:
        """Have the work done, but for a kill before or after its `request`-th request, counted from 1."""
        scene = await self._prepared(work)
        orders = 0

        def fault(proxied: ProxiedRequest) -> Fault | None:
            nonlocal orders
            orders += is_order(proxied)
            if orders < request:
                return None
            # What comes at the same time, and behind it, has not been done either.
            return Hold(done and orders == request and is_order(proxied))

        faulted = len(self.proxy.faulted)
        self.proxy.fault = fault
        await work.begin(scene)
        await self.proxy.wait_until(lambda: any(map(is_order, self.proxy.faulted[faulted:])))
        await self.bot.daemon.kill()
        self.proxy.clear_fault()
        await self._start()
        await work.ended(scene)
        await work.use(scene)

    async def _prepared(self, work: Work) -> Scene:
        scene = Scene(self.bot, await self.make_person())
        await work.prepare(scene)
        self.scenes.append(scene)
        return scene

    async def _start(self) -> None:
        await self.bot.daemon.start()
        await self.bot.daemon.wait_live()


def is_order(proxied: ProxiedRequest) -> bool:
    """Whether it changes anything; reading, typing and read markers are not part of any work."""
    return proxied.write > 0 and not {"typing", "read_markers"} & set(proxied.path.split("/"))


class Theatre:
    """Finds the boundaries of a piece of work and tries them all."""

    def __init__(self, synapse: Synapse, make_bot: MakeBot, make_person: MakePerson) -> None:
        self._synapse = synapse
        self._make_bot = make_bot
        self._make_person = make_person

    async def interrupted_everywhere(self, work: Work) -> int:
        """Try every boundary of the work, and return how many there are.

        Raises:
            AssertionError: what came of one of them is wrong; the message names it.
        """
        async with self._stage(work) as stage:
            requests = await stage.undisturbed(work)
        boundaries = [
            (number, str(request), done)
            for number, request in enumerate(requests, start=1)
            for done in (False, True)
        ]

        async def try_some(some: Iterable[tuple[int, str, bool]]) -> None:
            async with self._stage(work) as stage:
                for number, request, done in some:
                    try:
                        await stage.interrupted(work, number, done)
                    except (AssertionError, TimeoutError) as fault:
                        side = "after" if done else "before"
                        raise AssertionError(f"killed {side} {request}: {fault}") from fault

        async with anyio.create_task_group() as tasks:
            for lane in range(BOTS):
                tasks.start_soon(try_some, boundaries[lane::BOTS])
        return len(boundaries)

    @asynccontextmanager
    async def _stage(self, work: Work) -> AsyncIterator[Stage]:
        async with Proxy(self._synapse.url) as proxy:
            bot = await self._make_bot(MATRIX_HOMESERVER=proxy.url)
            async with bot.daemon as daemon:
                await daemon.wait_live()
                stage = Stage(bot, proxy, self._make_person)
                yield stage
                assert await daemon.stop() == 0
            async with MatrixUser(self._synapse.url, bot.user_id, PASSWORD) as witness:
                await work.check(witness, stage.scenes)

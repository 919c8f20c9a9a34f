"""Kill a daemon between any two of its requests, at every boundary of one piece of work.

A first, undisturbed run tells how many requests the work takes. Then, for each of them and for both of its sides, the
work is done for somebody new, the daemon is killed there, and the state after its next start is checked. Boundaries
are independent of each other, so a few bots share them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Fault, Hold, ProxiedRequest, Proxy
from tests.system.conftest import MakeBot, MakePerson
from tests.system.users import PASSWORD, Bot

BOTS = 3


@dataclass
class Attempt:
    """One user of one bot, and what is kept between two steps of the work."""

    bot: Bot
    person: MatrixUser
    notes: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Attempt], Awaitable[None]]


@dataclass(frozen=True)
class Work:
    """What is interrupted: `prepare` it, `begin` it, see that it has `ended`, and `use` what it has made.

    `check` runs at the end, with the bot's own session and all attempts: by then the daemon has drained, so that
    nothing more can come.
    """

    prepare: Step
    begin: Step
    ended: Step
    use: Step
    check: Callable[[MatrixUser, Sequence[Attempt]], Awaitable[None]]


@dataclass(frozen=True)
class BotUnderTest:
    """A bot behind a proxy of its own, and the attempts that were made with it."""

    bot: Bot
    proxy: Proxy
    make_person: MakePerson
    attempts: list[Attempt] = field(default_factory=list)

    async def undisturbed(self, work: Work) -> list[ProxiedRequest]:
        """Have the work done and return the requests it took."""
        attempt = await self._prepared(work)
        before = len(self.proxy.requests)
        await work.begin(attempt)
        await work.ended(attempt)
        assert await self.bot.daemon.stop() == 0
        requests = [each for each in self.proxy.requests[before:] if is_order(each)]
        await self._start()
        await work.use(attempt)
        return requests

    async def interrupted(self, work: Work, request: int, done: bool) -> None:
        """Have the work done, but for a kill before or after its `request`-th request, counted from 1."""
        attempt = await self._prepared(work)
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
        await work.begin(attempt)
        await self.proxy.wait_until(lambda: any(map(is_order, self.proxy.faulted[faulted:])))
        await self.bot.daemon.kill()
        self.proxy.clear_fault()
        await self._start()
        await work.ended(attempt)
        await work.use(attempt)

    async def _prepared(self, work: Work) -> Attempt:
        attempt = Attempt(self.bot, await self.make_person())
        await work.prepare(attempt)
        self.attempts.append(attempt)
        return attempt

    async def _start(self) -> None:
        await self.bot.daemon.start()
        await self.bot.daemon.wait_live()


def is_order(proxied: ProxiedRequest) -> bool:
    """Whether it changes anything; reading, typing and read markers are not part of any work."""
    return proxied.write > 0 and not {"typing", "read_markers"} & set(proxied.path.split("/"))


class BoundaryRunner:
    """Finds the boundaries of a piece of work and tries all of them."""

    def __init__(self, synapse: Synapse, make_bot: MakeBot, make_person: MakePerson) -> None:
        self._synapse = synapse
        self._make_bot = make_bot
        self._make_person = make_person

    async def interrupted_everywhere(self, work: Work) -> int:
        """Try every boundary of the work, and return how many there are.

        Raises:
            AssertionError: what came of one of them is wrong; the message names it.
        """
        async with self._bot_under_test(work) as tested:
            requests = await tested.undisturbed(work)
        boundaries = [
            (number, str(request), done)
            for number, request in enumerate(requests, start=1)
            for done in (False, True)
        ]

        async def try_some(some: Iterable[tuple[int, str, bool]]) -> None:
            async with self._bot_under_test(work) as tested:
                for number, request, done in some:
                    try:
                        await tested.interrupted(work, number, done)
                    except (AssertionError, TimeoutError) as fault:
                        side = "after" if done else "before"
                        raise AssertionError(f"killed {side} {request}: {fault}") from fault

        async with anyio.create_task_group() as tasks:
            for lane in range(BOTS):
                tasks.start_soon(try_some, boundaries[lane::BOTS])
        return len(boundaries)

    @asynccontextmanager
    async def _bot_under_test(self, work: Work) -> AsyncIterator[BotUnderTest]:
        async with Proxy(self._synapse.url) as proxy:
            bot = await self._make_bot(MATRIX_HOMESERVER=proxy.url)
            async with bot.daemon as daemon:
                await daemon.wait_live()
                tested = BotUnderTest(bot, proxy, self._make_person)
                yield tested
                assert await daemon.stop() == 0
            async with MatrixUser(self._synapse.url, bot.user_id, PASSWORD) as witness:
                await work.check(witness, tested.attempts)

"""Kills a daemon between any two of its requests, at every boundary of one piece of work.

A first, undisturbed run counts the requests of the work. Then, for both sides of each request, the work is done for a
new user, the daemon is killed there, and the state after its next start is checked. Boundaries are independent of each
other, so that a few bots share them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Fault, Hold, ProxiedRequest, Proxy
from tests.system.conftest import MakeBot, MakeUser
from tests.system.users import PASSWORD, Bot

BOTS = 3


@dataclass
class Attempt:
    """One user of one bot, and values for later steps of the work."""

    bot: Bot
    user: MatrixUser
    values: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Attempt], Awaitable[None]]


@dataclass(frozen=True)
class Work:
    """The interrupted work: `prepare` and `begin` it, wait until it has `ended`, and `use` its result.

    `check` runs after the end of the daemon, with the bot's session and all attempts.
    """

    prepare: Step
    begin: Step
    ended: Step
    use: Step
    check: Callable[[MatrixUser, Sequence[Attempt]], Awaitable[None]]


@dataclass(frozen=True)
class BotUnderTest:
    """A bot behind a separate proxy, and the attempts with it."""

    bot: Bot
    proxy: Proxy
    make_user: MakeUser
    attempts: list[Attempt] = field(default_factory=list)

    async def undisturbed(self, work: Work) -> list[ProxiedRequest]:
        """Let the work be done and return its requests."""
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
        """Let the work be done, with a kill before or after its `request`-th request, counted from 1."""
        attempt = await self._prepared(work)
        orders = 0

        def fault(proxied: ProxiedRequest) -> Fault | None:
            nonlocal orders
            orders += is_order(proxied)
            if orders < request:
                return None
            # Concurrent and later requests are not done either.
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
        attempt = Attempt(self.bot, await self.make_user())
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

    def __init__(self, synapse: Synapse, make_bot: MakeBot, make_user: MakeUser) -> None:
        self._synapse = synapse
        self._make_bot = make_bot
        self._make_user = make_user

    async def interrupted_everywhere(self, work: Work) -> int:
        """Try every boundary of the work, and return how many there are.

        Raises:
            AssertionError: the result at one of them is wrong; the message names it.
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
                tested = BotUnderTest(bot, proxy, self._make_user)
                yield tested
                assert await daemon.stop() == 0
            async with MatrixUser(self._synapse.url, bot.user_id, PASSWORD) as witness:
                await work.check(witness, tested.attempts)

"""What the homeserver's rate limits ask of us (contract D8): wait as told, and do not all come back at once.

A homeserver limits by kind of request: sending, inviting, joining, creating rooms. Each kind is a lane
here. After a 429 its lane is narrow: requests pass one at a time, none before the time the server
named, until a quiet period has gone by. Other lanes are not affected.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Literal

import anyio

from matrix.clock import Clock

LaneName = Literal["read", "sync", "send", "create", "join", "invite", "login"]

NARROW_FOR_S = 3.0
_WIDE = nullcontext()


class Lane:
    """One kind of request, as wide as the homeserver allows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._one_at_a_time = anyio.Lock()
        self._resume_at = 0.0
        self._narrow_until = 0.0

    @property
    def is_narrow(self) -> bool:
        """Whether the homeserver lately asked for patience."""
        return self._clock.now() < self._narrow_until

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Hold the right to make one request; waits while the lane is narrow."""
        return self._narrow_turn() if self.is_narrow else _WIDE

    @asynccontextmanager
    async def _narrow_turn(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            wait_s = self._resume_at - self._clock.now()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            yield

    def limited(self, wait_s: float) -> None:
        """The homeserver answered 429 and named a time."""
        self._resume_at = max(self._resume_at, self._clock.now() + wait_s)
        self._narrow_until = self._resume_at + NARROW_FOR_S


class Throttle:
    """All lanes of the daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[LaneName, Lane] = {}

    @property
    def is_on(self) -> bool:
        """Whether sending is limited now: what may be dropped is dropped (contract D8)."""
        return self.lane("send").is_narrow

    def lane(self, name: LaneName) -> Lane:
        """Return the lane of that name."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(self._clock)
        return lane

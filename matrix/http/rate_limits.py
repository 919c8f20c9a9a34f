"""Rate limits of the homeserver (contract D8): wait as long as it says, and resume one request at a time.

A homeserver limits by kind of request: sending, inviting, joining, creating rooms. Each kind is a bucket here. After a
429 the requests of its bucket pass one at a time, none before the time that the homeserver named, until a cool-down
period without a 429 has passed. Other buckets are not affected.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, get_args

import anyio

from matrix.clock import Clock

BucketName = Literal["read", "sync", "send", "create", "join", "invite", "login"]

COOLDOWN_S = 3.0


class Bucket:
    """The limit of one kind of request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._one_at_a_time = anyio.Lock()
        self._resume_at = 0.0
        self._limited_until = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether a 429 came recently."""
        return self._clock.now() < self._limited_until

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        """Hold the permit for one request; waits while the bucket is limited."""
        if not self.is_limited:
            yield
            return
        async with self._one_at_a_time:
            wait_s = self._resume_at - self._clock.now()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            yield

    def limit(self, wait_s: float) -> None:
        """Record a 429 and the wait that it asked for."""
        self._resume_at = max(self._resume_at, self._clock.now() + wait_s)
        self._limited_until = self._resume_at + COOLDOWN_S


def make_buckets(clock: Clock) -> dict[BucketName, Bucket]:
    """Return all rate-limit buckets of the daemon."""
    return {name: Bucket(clock) for name in get_args(BucketName)}

"""Time as this package needs it: injected, so that an hour of outage takes a test no time."""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """Wall-clock time; the runtime's own clock satisfies it too."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await anyio.sleep(seconds)

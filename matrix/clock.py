"""Time as this package needs it: injected, so that an hour of outage takes a test no time."""

import time
from typing import Protocol

import anyio

_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """Wall-clock time; the runtime's own clock satisfies it too."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        ...


class SystemClock:
    """The machine's clock, read once: from then on time passes and is never set.

    A wall clock that is put back by an hour would hold up every retry and every edit for that hour.
    """

    def __init__(self) -> None:
        self._began = time.time() - _passed()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._began + _passed()

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""
        await anyio.sleep(seconds)


def _passed() -> float:
    """Return the seconds since some moment; where the system tells, those of its sleep count too."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)

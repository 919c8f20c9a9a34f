"""The clock of this package and of the runtime; tests inject a virtual one."""

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
    """The machine's clock, read once; after that, changes of the system time have no effect.

    If the system time is set back by an hour, a wall clock would delay every retry and every edit for that hour.
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
    """Return the seconds since some fixed moment, including the system's sleep where the platform supports it."""
    return time.monotonic() if _BOOT_TIME is None else time.clock_gettime(_BOOT_TIME)

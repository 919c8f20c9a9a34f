"""One process of the bot: its event loop, its database connection, and when it is killed."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from machines.errors import SurfacesError
from store.database import translated
from tests.simulation.kernel import Kernel
from tests.simulation.loop import VirtualLoop

T = TypeVar("T")


class Process:
    """Runs until killed. `fuse` counts the occasions up to the kill; negative is never."""

    def __init__(self, kernel: Kernel, fuse: int, disk_s: float) -> None:
        self.kernel = kernel
        self.fuse = fuse
        self.disk_s = disk_s
        self.loop = VirtualLoop(kernel)
        self.live = False
        self.started_at = kernel.now
        self.reconciled = 0
        self.died_at = 0.0
        self.stopped_at = 0.0

    @property
    def dead(self) -> bool:
        """Whether it was killed."""
        return self.loop.killed

    def may_die(self, occasion: str) -> None:
        """Count an occasion: the process may be killed between any two writes and requests."""
        if self.fuse > 0:
            self.fuse -= 1
            if self.fuse == 0:
                self.kill(occasion)

    def kill(self, occasion: str) -> None:
        """End it as `kill -9` does."""
        if not self.dead:
            self.kernel.note(f"KILLED {occasion}")
            self.loop.killed = True
            self.died_at = self.kernel.now

    async def limbo(self) -> None:
        """Wait for ever: nothing that a killed process does has an effect."""
        await self.loop.create_future()

    async def hop(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function as on another thread; stands for `anyio.to_thread.run_sync`."""
        return await self.elsewhere(
            lambda: function(*args), "a file access", lambda: True, self.kernel.now
        )

    async def elsewhere(
        self, function: Callable[[], T], what: str, durable: Callable[[], bool], at: float
    ) -> T:
        """Let `function` be called at a time; its caller may be cancelled, the call is made."""
        if self.dead:
            await self.limbo()
        done: asyncio.Future[T] = self.loop.create_future()
        self.kernel.at(at, self._call, function, done, what, durable)
        return await done

    def _call(
        self,
        function: Callable[[], T],
        done: "asyncio.Future[T]",
        what: str,
        durable: Callable[[], bool],
    ) -> None:
        if not self.dead:
            self.may_die(f"before {what}")
        if self.dead:
            return
        settle: Callable[[Any], None] = done.set_result
        outcome: Any = None
        try:
            outcome = function()
        except SurfacesError as error:
            settle, outcome = done.set_exception, error
        if durable():
            self.may_die(f"after {what}")
        self.kernel.after(
            self.kernel.chance.uniform(0, self.disk_s / 2), self._settle, done, settle, outcome
        )

    def _settle(
        self, done: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any
    ) -> None:
        if not self.dead and not done.done():
            settle(outcome)


class Connection:
    """The journal's `Runner`: functions are called on the connection in the order they were asked for."""

    def __init__(
        self, process: Process, raw: sqlite3.Connection, committed: Callable[[], None]
    ) -> None:
        self._process = process
        self._raw = raw
        self._committed = committed
        self._busy_until = 0.0

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function on the connection."""
        kernel, before = self._process.kernel, self._raw.total_changes
        self._busy_until = max(self._busy_until, kernel.now) + kernel.chance.uniform(
            1e-5, self._process.disk_s
        )

        def call() -> T:
            nonlocal before
            before = self._raw.total_changes
            return translated(function, self._raw)

        def wrote() -> bool:
            if self._raw.total_changes == before:
                return False
            self._committed()
            return True

        return await self._process.elsewhere(call, "a commit", wrote, self._busy_until)

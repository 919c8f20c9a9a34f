"""One process of the bot: its event loop, its database connection, and the moment of its kill."""

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
    """Runs until killed. `kill_after` counts the boundaries down to the kill; negative is never."""

    def __init__(self, kernel: Kernel, kill_after: int, disk_s: float) -> None:
        self.kernel = kernel
        self.kill_after = kill_after
        self.disk_s = disk_s
        self.loop = VirtualLoop(kernel)
        self.live = False
        self.started_at = kernel.now
        self.reconciled = 0
        self.killed_at = 0.0
        self.stopped_at = 0.0

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.loop.killed

    def pass_boundary(self, boundary: str) -> None:
        """Count a boundary: the process may be killed between any two writes and requests."""
        if self.kill_after > 0:
            self.kill_after -= 1
            if self.kill_after == 0:
                self.kill(boundary)

    def kill(self, boundary: str) -> None:
        """End it as `kill -9` does."""
        if not self.killed:
            self.kernel.log(f"KILLED {boundary}")
            self.loop.killed = True
            self.killed_at = self.kernel.now

    async def wait_forever(self) -> None:
        """Wait forever: nothing that a killed process does has an effect."""
        await self.loop.create_future()

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function as if on another thread; replaces `anyio.to_thread.run_sync`."""
        return await self.call_at(
            lambda: function(*args), "a file access", lambda: True, self.kernel.now
        )

    async def call_at(
        self, function: Callable[[], T], what: str, durable: Callable[[], bool], at: float
    ) -> T:
        """Call `function` at a time, even when the caller is cancelled before."""
        if self.killed:
            await self.wait_forever()
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
        if not self.killed:
            self.pass_boundary(f"before {what}")
        if self.killed:
            return
        settle: Callable[[Any], None] = done.set_result
        outcome: Any = None
        try:
            outcome = function()
        except SurfacesError as error:
            settle, outcome = done.set_exception, error
        if durable():
            self.pass_boundary(f"after {what}")
        self.kernel.after(
            self.kernel.rng.uniform(0, self.disk_s / 2), self._settle, done, settle, outcome
        )

    def _settle(
        self, done: "asyncio.Future[Any]", settle: Callable[[Any], None], outcome: Any
    ) -> None:
        if not self.killed and not done.done():
            settle(outcome)


class Connection:
    """The journal's `Runner`: calls functions on the connection, in their order."""

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
        self._busy_until = max(self._busy_until, kernel.now) + kernel.rng.uniform(
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

        return await self._process.call_at(call, "a commit", wrote, self._busy_until)

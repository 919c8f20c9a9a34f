"""The event loop of the tests: asyncio's own, which can say when every task waits.

A task waits for another task, for a timer or for the world outside. The loop has nothing to do exactly when it
would block in its selector, so the selector is where this is seen; asyncio takes one as an argument.
"""

import asyncio
import selectors
from selectors import SelectorKey
from typing import Any

MOST_TURNS = 100_000
"""Far more turns than any test takes; a task that needs more never waits."""


class IdleSelector(selectors.DefaultSelector):
    """A selector that tells its waiters when the loop is about to block."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[asyncio.Future[None]] = []
        self.turns_left = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; where the loop would block, end the wait for that instead."""
        if not self.waiters:
            return super().select(timeout)
        ready = super().select(0)
        self.turns_left -= 1
        is_idle = not ready and (timeout is None or timeout > 0)
        if is_idle or self.turns_left <= 0:
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        return ready


class IdleLoop(asyncio.SelectorEventLoop):
    """An event loop whose `until_idle` returns when no task can go on."""

    def __init__(self) -> None:
        self._idle_selector = IdleSelector()
        super().__init__(self._idle_selector)

    async def until_idle(self) -> None:
        """Return when every other task waits.

        Raises:
            AssertionError: some tasks do not come to a wait; the message shows where all of them are.
        """
        selector = self._idle_selector
        selector.turns_left = MOST_TURNS
        waiter = self.create_future()
        selector.waiters.append(waiter)
        await waiter
        if selector.turns_left <= 0:
            raise AssertionError(f"busy after {MOST_TURNS} turns of the event loop:\n{_tasks()}")


async def settle() -> None:
    """Let every task run until it waits for another one, for a timer or for the world outside."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop), "tests run on the loop of `anyio_backend`"
    await loop.until_idle()


def _tasks() -> str:
    return "\n".join(f"  {task.get_name()} at {_where(task)}" for task in asyncio.all_tasks())


def _where(task: asyncio.Task[object]) -> str:
    """Return the innermost line that a task waits in."""
    waits: Any = task.get_coro()
    where = "its beginning"
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is not None:
            where = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return where

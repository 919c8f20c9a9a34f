"""The event loop of the tests: asyncio's selector loop, which detects when it is idle.

The loop is idle when it would block in its selector: every task waits for another task, for a timer or for I/O.
So the selector detects it; asyncio accepts one as an argument.
"""

import asyncio
import selectors
from selectors import SelectorKey
from typing import Any

MAX_ITERATIONS = 100_000
"""Far more iterations than any test needs; a task that needs more never waits."""


class IdleSelector(selectors.DefaultSelector):
    """A selector that wakes its waiters when the loop is about to block."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[asyncio.Future[None]] = []
        self.iterations_left = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; where the loop would block, wake the waiters instead."""
        if not self.waiters:
            return super().select(timeout)
        ready = super().select(0)
        self.iterations_left -= 1
        is_idle = not ready and (timeout is None or timeout > 0)
        if is_idle or self.iterations_left <= 0:
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        return ready


class IdleLoop(asyncio.SelectorEventLoop):
    """An event loop whose `until_idle` returns when no task can continue."""

    def __init__(self) -> None:
        self._idle_selector = IdleSelector()
        super().__init__(self._idle_selector)

    async def until_idle(self) -> None:
        """Return when every other task waits.

        Raises:
            AssertionError: some tasks never wait; the message shows where all tasks are.
        """
        selector = self._idle_selector
        selector.iterations_left = MAX_ITERATIONS
        waiter = self.create_future()
        selector.waiters.append(waiter)
        await waiter
        if selector.iterations_left <= 0:
            raise AssertionError(
                f"busy after {MAX_ITERATIONS} iterations of the event loop:\n{_tasks()}"
            )


async def settle() -> None:
    """Let every task run until it waits for another one, for a timer or for I/O."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop), "tests run on the loop of `anyio_backend`"
    await loop.until_idle()


def _tasks() -> str:
    return "\n".join(f"  {task.get_name()} at {_where(task)}" for task in asyncio.all_tasks())


def _where(task: asyncio.Task[object]) -> str:
    """Return the innermost line in which a task waits."""
    waits: Any = task.get_coro()
    where = "its start"
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None)
        if frame is not None:
            where = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
    return where

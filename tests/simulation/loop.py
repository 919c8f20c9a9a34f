"""An asyncio event loop on simulated time, and replacements of what differs from run to run.

Callbacks run first in, first out, as in asyncio; when none is left, the kernel's next callback runs.
The tasks of a killed loop never continue, as after `kill -9`.
"""

import asyncio
import itertools
import math
import secrets
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVarTuple
from unittest.mock import patch

import anyio
import anyio.to_thread
from anyio._backends import _asyncio as backend

from tests.simulation.kernel import Kernel

Ts = TypeVarTuple("Ts")
_ROUNDS = 200
_CALLBACKS_A_ROUND = 2000


class Killed(BaseException):
    """The process of this loop was killed."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose position in a set does not depend on its memory address."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.BaseEventLoop):
    """One process' event loop. `killed` ends it between two callbacks."""

    # Attributes of the base class that its type stubs lack.
    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel
        self.killed = False
        self.faults: list[str] = []
        self._tasks: list[NumberedTask] = []
        self._numbers = itertools.count(1)
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]  # only coroutines are passed
        self.set_exception_handler(self._record_fault)

    def time(self) -> float:
        """Return the simulated time."""
        return self.kernel.now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule on the kernel's heap."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.kernel.at(when, self._due, handle)
        return handle

    def cancel_all(self) -> None:
        """Cancel the tasks of a killed process; its ports no longer have an effect."""
        events._set_running_loop(self)
        try:
            for _ in range(_ROUNDS):
                alive = [task for task in self._tasks if not task.done()]
                if not alive:
                    break
                for task in alive:
                    task.cancel()
                for _ in range(_CALLBACKS_A_ROUND):
                    if not self._ready:
                        break
                    handle = self._ready.popleft()
                    if not handle._cancelled:
                        handle._run()
            else:
                raise RuntimeError("the tasks of a killed process do not end")
        finally:
            events._set_running_loop(None)
            self._ready.clear()
            self.close()

    def _due(self, handle: asyncio.TimerHandle) -> None:
        if not handle.cancelled() and not self.killed:
            self._ready.append(handle)

    def _run_once(self) -> None:
        ready = self._ready
        while ready and not self.killed:
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
            if self._stopping:
                return
        if not self.killed:
            self.kernel.step()
        if self.killed:
            raise Killed

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> NumberedTask:
        # The number is set before `__init__`, which adds the task to a set.
        task = NumberedTask.__new__(NumberedTask)
        task.number = next(self._numbers)
        task.__init__(coro, loop=loop, **options)  # type: ignore[misc]
        self._tasks.append(task)
        return task

    def _record_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.killed:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _write_to_self(self) -> None:
        """Do nothing: there are no other threads."""

    def _process_events(self, event_list: object) -> None:
        """Do nothing: there are no sockets."""


class NumberedScope(backend.CancelScope):
    """A cancel scope whose position in a set does not depend on its memory address."""

    __slots__ = ("number",)
    numbers = itertools.count(1)

    def __init__(self, deadline: float = math.inf, shield: bool = False) -> None:
        self.number = next(NumberedScope.numbers)
        super().__init__(deadline, shield)

    def __hash__(self) -> int:
        return self.number


@contextmanager
def deterministic(
    kernel: Kernel, run_sync: Callable[..., Coroutine[Any, Any, Any]]
) -> Iterator[None]:
    """Replace what differs from run to run: memory addresses, secrets, threads."""
    NumberedScope.numbers = itertools.count(1)

    def token_hex(nbytes: int = 16) -> str:
        return kernel.rng.randbytes(nbytes).hex()

    with (
        patch.object(backend, "CancelScope", NumberedScope),
        patch.object(secrets, "token_hex", token_hex),
        patch.object(anyio.to_thread, "run_sync", run_sync),
    ):
        yield

"""A daemon that ends itself at a chosen boundary: before or after its n-th durable write or request.

It is `surfaces-bot run`, forked from a process that has imported everything, so that a start takes milliseconds. Three
public methods are wrapped, so that the product needs no switch for this: `Journal.write`, the HTTP backend, and
`SessionFile.write`. The process ends with `os._exit`: as with `kill -9`, nothing is closed, flushed or logged.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from ctypes import c_int
from functools import wraps
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio

DIED = 86
"""The exit code of a process that ended at a boundary."""
NEVER = 0
STDERR = "stderr.log"
BOUNDARY = "boundary"
_STOP_S = 15.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [__name__, "cli.app", "cli.run", "matrix", "agent_platform", "actors.bot"]
)


class FailpointDaemon:
    """Runs one process after the other in one directory, each until a boundary of its own."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = dict(environment)
        self._process: BaseProcess | None = None
        self._passed: c_int = _context.Value("i", 0, lock=False)

    @property
    def passed(self) -> int:
        """How many boundaries the newest process has passed."""
        return self._passed.value

    def start(self, die_at: int = NEVER) -> None:
        """Start a process that ends at its `die_at`-th boundary, counted from 1."""
        self._passed = _context.Value("i", 0, lock=False)
        args = (str(self.directory), self._environment, die_at, self._passed)
        self._process = _context.Process(target=_live, args=args, daemon=True)
        self._process.start()

    async def wait_ended(self) -> int:
        """Return the exit code once the process has ended."""
        assert self._process is not None
        await anyio.wait_readable(self._process.sentinel)
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        return code

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code; kill the process when it does not end."""
        assert self._process is not None
        self._process.terminate()
        with anyio.move_on_after(_STOP_S):
            return await self.wait_ended()
        self.kill()
        return -signal.SIGKILL

    def kill(self) -> None:
        """Kill the process, if one runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def boundary(self) -> str:
        """Return the boundary at which the last process ended."""
        path = self.directory / BOUNDARY
        return path.read_text() if path.exists() else "nowhere"


class _Failpoints:
    """Counts boundaries, and ends the process at one."""

    def __init__(self, die_at: int, passed: c_int) -> None:
        self._die_at = die_at
        self._passed = passed

    def pass_boundary(self, what: str) -> None:
        self._passed.value += 1
        if self._passed.value == self._die_at:
            Path(BOUNDARY).write_text(what)
            os._exit(DIED)

    def around(
        self, method: Callable[..., Awaitable[Any]], name: Callable[..., str]
    ) -> Callable[..., Awaitable[Any]]:
        """Wrap a method: one boundary before it, and one after."""

        @wraps(method)
        async def wrapped(*args: Any) -> Any:
            what = name(*args)
            self.pass_boundary(f"before {what}")
            result = await method(*args)
            self.pass_boundary(f"after {what}")
            return result

        return wrapped


def _live(directory: str, environment: dict[str, str], die_at: int, passed: c_int) -> None:
    """Run the daemon, in the forked process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(directory)
    error = os.open(STDERR, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(error, sys.stderr.fileno())
    for name in [
        name for name in os.environ if name.startswith(("MATRIX_", "AGENT_", "SURFACES_"))
    ]:
        del os.environ[name]
    os.environ.update(environment)
    _shorten_waits()
    _wrap_boundaries(_Failpoints(die_at, passed))
    from cli.app import main

    sys.argv = ["surfaces-bot", "run"]
    main()


def _end_with_parent() -> None:
    """End this process when its parent has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _wrap_boundaries(failpoints: _Failpoints) -> None:
    from matrix.http.nio_backend import NioBackend
    from matrix.session.file import SessionFile
    from store.journal import Journal

    journal: Any = Journal
    backend: Any = NioBackend
    session: Any = SessionFile
    journal.write = failpoints.around(journal.write, lambda *_: "a commit")
    backend.__call__ = failpoints.around(
        backend.__call__, lambda _, request: f"{request.method} {request.path}"
    )
    write = session.write

    def write_session(*args: Any) -> None:
        failpoints.pass_boundary("before the session file is written")
        write(*args)
        failpoints.pass_boundary("after the session file is written")

    session.write = write_session


def _shorten_waits() -> None:
    """Shorten the daemon's deliberate waits; this homeserver creates a room at once or not at all."""
    from machines.turn import driver as turn_driver
    from machines.turn import reply
    from matrix.rooms import create

    for module in (reply, turn_driver):
        vars(module)["EDIT_INTERVAL_S"] = 0.15
    create.RESTART_DELAY_S = 0.0

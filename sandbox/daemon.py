"""The daemon as a process: started, watched through its log, stopped, killed, started again.

The demo and the system tests see the product as an operator does: environment in, log lines and exit code out.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from sandbox.errors import NothingSeen

STOP_S = 15.0
LogLine = dict[str, Any]


class Daemon:
    """One configured daemon and the processes that it is run as, one after the other.

    `directory` is its working directory; `environment` is all it gets besides `PATH` and a locale. Log lines of
    all its processes are kept in `log`, in order. `program` is what Python runs, for whoever compares
    the daemon with another.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        program: Sequence[str] = ("-m", "cli", "run"),
    ) -> None:
        self.directory = directory
        self.environment = dict(environment)
        self.program = tuple(program)
        self.log: list[LogLine] = []
        self.other_output: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = anyio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Also for who is cancelled: what is left behind would go on writing.
        with anyio.CancelScope(shield=True):
            await self.kill()

    @property
    def pid(self) -> int:
        """The process id of the process that runs."""
        if self._process is None:
            raise RuntimeError("the daemon does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process and it has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start a process; `wait_live` tells when it takes messages."""
        base = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            cwd=self.directory,
            env=base | {"SURFACES_LOG_FORMAT": "json"} | self.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
            start_new_session=True,  # Ctrl-C is for us; it ends when we end it
        )
        self._reader = asyncio.create_task(self._read(self._process))

    async def wait_live(self, timeout_s: float = 30.0) -> LogLine:
        """Return the `bot_live` line of the process that runs."""
        pid = self.pid
        return await self.wait_log(
            lambda line: line["event"] == "bot_live" and line["pid"] == pid, timeout_s
        )

    async def wait_log(
        self, predicate: Callable[[LogLine], bool], timeout_s: float = 30.0
    ) -> LogLine:
        """Return the first log line, past or to come, that fits.

        Raises:
            NothingSeen: the time is over, or the process ended without such a line.
        """
        with anyio.move_on_after(timeout_s):
            while True:
                found = next((line for line in self.log if predicate(line)), None)
                if found is not None:
                    return found
                if self._reader is not None and self._reader.done():
                    break
                await self._news.wait()
        tail = "\n".join([*(json.dumps(line) for line in self.log[-10:]), *self.other_output[-5:]])
        raise NothingSeen(f"no such log line within {timeout_s} s; the last ones were:\n{tail}")

    def lines(self, event: str) -> list[LogLine]:
        """Return all lines of one log event so far, of all processes."""
        return [line for line in self.log if line["event"] == event]

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that runs."""
        os.kill(self.pid, number)

    async def stop(self) -> int:
        """Ask it to drain (SIGTERM) and return its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill it (SIGKILL), if it runs."""
        if self.running:
            await self._end(signal.SIGKILL)

    async def wait_ended(self, timeout_s: float = 30.0) -> int:
        """Return the exit code once the process has ended by itself."""
        if self._process is None or self._reader is None:
            raise RuntimeError("the daemon was never started")
        with anyio.fail_after(timeout_s):
            await self._process.wait()
            await self._reader
        return self._process.returncode or 0

    async def _end(self, number: signal.Signals) -> int:
        if self.running and self._process is not None:
            self._process.send_signal(number)
        return await self.wait_ended(STOP_S)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            try:
                line = json.loads(text)
            except ValueError:
                self.other_output.append(text)
            else:
                self.log.append(line | {"pid": process.pid})
            self._tell()
        # After this task is done, so that nobody goes on waiting for an ended process.
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        """Wake everyone who waits; a fresh event each time, because several may wait at once."""
        self._news.set()
        self._news = anyio.Event()

"""The daemon as a process that is started, observed through its log, stopped, killed and started again.

The demo and the system tests use the product as an operator does: through its environment, its log lines and its exit
code.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import anyio

from sandbox.errors import WaitTimeout

STOP_S = 15.0
LogLine = dict[str, Any]


class Daemon:
    """One configured daemon, run as one process after the other.

    `directory` is its working directory; `environment` has all its variables besides `PATH`, `HOME` and `LANG`. `log`
    has the log lines of all its processes, in order. `program` has the arguments of Python; benchmarks run other bots.
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
        self._changed = anyio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        # Also when cancelled: a process that is left behind would continue to write.
        with anyio.CancelScope(shield=True):
            await self.kill()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._process is None:
            raise RuntimeError("the daemon does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether a process has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start a process; `wait_live` waits until it accepts messages."""
        base = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            cwd=self.directory,
            env=base | {"SURFACES_LOG_FORMAT": "json"} | self.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**22,
            start_new_session=True,  # Ctrl-C must not reach it; this class ends it
        )
        self._reader = asyncio.create_task(self._read(self._process))

    async def wait_live(self, timeout_s: float = 30.0) -> LogLine:
        """Wait for the `bot_live` line of the running process and return it."""
        pid = self.pid
        return await self.wait_log(
            lambda line: line["event"] == "bot_live" and line["pid"] == pid, timeout_s
        )

    async def wait_log(
        self, predicate: Callable[[LogLine], bool], timeout_s: float = 30.0
    ) -> LogLine:
        """Wait for a log line that the predicate accepts; return the first one, past or future.

        Raises:
            WaitTimeout: there was none in time, or the process ended before.
        """
        with anyio.move_on_after(timeout_s):
            while True:
                found = next((line for line in self.log if predicate(line)), None)
                if found is not None:
                    return found
                if self._reader is not None and self._reader.done():
                    break
                await self._changed.wait()
        tail = "\n".join([*(json.dumps(line) for line in self.log[-10:]), *self.other_output[-5:]])
        raise WaitTimeout(f"no such log line within {timeout_s} s; the last ones were:\n{tail}")

    def lines(self, event: str) -> list[LogLine]:
        """Return all lines of one log event so far, of all processes."""
        return [line for line in self.log if line["event"] == event]

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the running process."""
        os.kill(self.pid, number)

    async def stop(self) -> int:
        """Let it drain and end (SIGTERM), and return its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill it (SIGKILL), if it runs."""
        if self.running:
            await self._end(signal.SIGKILL)

    async def wait_ended(self, timeout_s: float = 30.0) -> int:
        """Wait until the process has ended by itself, and return its exit code."""
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
            self._notify()
        # After this task is done, so that no task waits forever for an ended process.
        asyncio.get_running_loop().call_soon(self._notify)

    def _notify(self) -> None:
        """Wake all waiting tasks; a new event each time, because several may wait."""
        self._changed.set()
        self._changed = anyio.Event()

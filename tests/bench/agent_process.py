"""An agent that answers at once over the real protocol, in a separate process."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

_START_TIMEOUT_S = 20.0


@asynccontextmanager
async def agent_process() -> AsyncIterator[str]:
    """Run `tests.support.agent_server` without pauses; yields its URL."""
    command = [sys.executable, "-m", "tests.support.agent_server", "--pace-ms", "0"]
    async with await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=None) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(_START_TIMEOUT_S):
                output = BufferedByteReceiveStream(process.stdout)
                line = await output.receive_until(b"\n", 1000)
            yield json.loads(line)["url"]
        finally:
            process.kill()

"""An agent on loopback that follows a script and records the requests.

It uses the agent protocol over real WebSockets and shares no code with the bot's own client, so that each checks the
other. As a process
(`python -m tests.support.agent_server`) it echoes, and prints one JSON line with its URL when it is ready.
"""

import argparse
import json
import math
import signal
import socket
import sys
import time
from collections.abc import AsyncIterable, Iterable
from contextlib import AsyncExitStack, aclosing, suppress
from types import TracebackType
from typing import Any, Self

import anyio
from aiohttp import WSMsgType, web

from tests.support.agent_script import (
    GREETING,
    Close,
    Connection,
    Drop,
    Raw,
    Request,
    Script,
    Step,
    Wait,
    echo,
    frame_of,
    paced_echo,
    stepwise,
)

HOST = "127.0.0.1"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class AgentServer:
    """A scripted agent; an async context manager that listens while it is entered.

    Args:
        script: the steps for each message; may be replaced at any time.
        opening: the steps for each new connection, before any message.
        port: the port to listen on; 0 takes a free one, which stays reserved until the end.
    """

    def __init__(
        self,
        script: Script = echo,
        *,
        opening: Iterable[Step] = GREETING,
        port: int = 0,
    ) -> None:
        self.script = script
        self.opening = tuple(opening)
        self.http_status: int | None = None
        """When set, connections are answered with this HTTP status and no WebSocket."""
        self.connections: list[Connection] = []
        self.requests: list[Request] = []
        self._port = port
        self._released = anyio.Event()
        self._released.set()
        self._changed = anyio.Condition()
        self._live: dict[int, web.Request] = {}
        self._exit = AsyncExitStack()
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL of the agent (`AGENT_BASE_URL`)."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        # Bound but never listening: it reserves the port while connections are refused.
        reserved = self._exit.enter_context(_bound_socket(self._port))
        self._port = reserved.getsockname()[1]
        self._arrived, self._arrivals = anyio.create_memory_object_stream[Request](math.inf)
        self._exit.callback(self._arrived.close)
        self._exit.callback(self._arrivals.close)
        app = web.Application()
        app.router.add_get("/v1/agent_ws/{chat_id}/", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self._exit.push_async_callback(self._runner.cleanup)
        self._exit.callback(self.drop_all)
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._exit.aclose()

    async def accept(self) -> None:
        """Listen on the port, as at the start."""
        if self._site is None and self._runner is not None:
            self._site = web.SockSite(self._runner, _bound_socket(self._port))
            await self._site.start()

    async def refuse(self, *, drop: bool = False) -> None:
        """Stop listening but keep the port, so that connecting is refused; `drop` cuts open connections."""
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        if drop:
            self.drop_all()

    def drop_all(self) -> None:
        """Cut every open connection without a closing frame."""
        for request in list(self._live.values()):
            _abort(request)

    def hold(self) -> None:
        """Pause all scripts until `release`."""
        if self._released.is_set():
            self._released = anyio.Event()

    def release(self) -> None:
        """Continue the scripts."""
        self._released.set()

    async def next_request(self, timeout_s: float = 10.0) -> Request:
        """Wait for the next message that no earlier call has returned, and return it.

        Raises:
            TimeoutError: none came in time.
        """
        with anyio.fail_after(timeout_s):
            return await self._arrivals.receive()

    async def connections_opened(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until `count` connections have been opened since the start.

        Raises:
            TimeoutError: there were fewer in time.
        """
        with anyio.fail_after(timeout_s):
            async with self._changed:
                while len(self.connections) < count:
                    await self._changed.wait()

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        """Handle one connection: the opening, then the script for each message, one at a time."""
        if self.http_status is not None:
            return web.Response(status=self.http_status)
        headers = {name.lower(): value for name, value in http.headers.items()}
        number = len(self.connections) + 1
        connection = Connection(number, http.match_info["chat_id"], headers, time.time())
        self.connections.append(connection)
        async with self._changed:
            self._changed.notify_all()
        self._live[number] = http
        ws = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0, compress=False)
        try:
            await ws.prepare(http)
            await self._converse(http, ws, connection)
        finally:
            del self._live[number]
            connection.closed.set()
        return ws

    async def _converse(
        self, http: web.Request, ws: web.WebSocketResponse, connection: Connection
    ) -> None:
        todo, waiting = anyio.create_memory_object_stream[Request](math.inf)

        async def answer() -> None:
            if not await self._run_steps(self.opening, http, ws):
                return
            async for request in waiting:
                if not await self._run_steps(self.script(request), http, ws):
                    return

        with todo, waiting:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                # Reading never stops, so that a closed connection is noticed in the middle of an answer.
                async for message in ws:
                    if message.type is WSMsgType.TEXT:
                        request = self._received(message.data, connection)
                        todo.send_nowait(request)
                        self._arrived.send_nowait(request)
                # 1006 means that this side cut the connection, so there is no code of the other side.
                connection.close_code = ws.close_code if ws.close_code != 1006 else None
                tasks.cancel_scope.cancel()

    def _received(self, data: str, connection: Connection) -> Request:
        payload: Any = json.loads(data)
        request = Request(
            order=len(self.requests) + 1,
            connection=connection.number,
            chat_id=connection.chat_id,
            payload=payload,
            headers=connection.headers,
            at=time.time(),
        )
        self.requests.append(request)
        return request

    async def _run_steps(
        self,
        steps: Iterable[Step] | AsyncIterable[Step],
        http: web.Request,
        ws: web.WebSocketResponse,
    ) -> bool:
        """Carry out the steps; return False when the connection is closed."""
        async with aclosing(stepwise(steps)) as all_steps:
            async for step in all_steps:
                await self._released.wait()
                try:
                    if not await _run_step(step, http, ws):
                        return False
                except ConnectionError:
                    return False
        return True


async def _run_step(step: Step, http: web.Request, ws: web.WebSocketResponse) -> bool:
    match step:
        case Wait(until):
            await (anyio.sleep(until) if isinstance(until, int | float) else until.wait())
        case Close(code):
            await ws.close(code=code)
            return False
        case Drop():
            _abort(http)
            return False
        case Raw(str(data)):
            await ws.send_str(data)
        case Raw(bytes(data)):
            await ws.send_bytes(data)
        case _:
            await ws.send_str(json.dumps(frame_of(step)))
    return True


def _abort(http: web.Request) -> None:
    if http.transport is not None:
        http.transport.abort()


def _bound_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A second socket on the port needs one of the two, depending on the system.
    for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
        with suppress(AttributeError, OSError):
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock


async def _run(port: int, pace_s: float) -> None:
    async with AgentServer(paced_echo(pace_s), port=port) as server:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            sys.stdout.write(json.dumps({"url": server.url}) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                return


def main() -> None:
    """Run a scripted agent until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.agent_server", description=main.__doc__
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port on loopback (default 0: a free one)"
    )
    parser.add_argument("--pace-ms", type=float, default=30.0, help="pause between two chunks")
    arguments = parser.parse_args()
    anyio.run(_run, arguments.port, arguments.pace_ms / 1000)


if __name__ == "__main__":
    main()

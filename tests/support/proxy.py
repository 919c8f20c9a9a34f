"""An HTTP proxy on loopback between the daemon and its homeserver: it records, and fails where it is told to.

The daemon believes it to be the homeserver. Every request is numbered as it arrives; `fault` decides for each
what goes wrong with it, and on which side of the homeserver: before it was done there, or after it was done and
before the daemon hears of it. That is what tells apart the two halves of an interruption.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
import anyio
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.errors import NothingSeen

HOST = "127.0.0.1"

# What belongs to one connection, or is made anew for the other one.
_NOT_PASSED_ON = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
)


@dataclass(slots=True)
class Passage:
    """One request as it came by."""

    number: int
    """Counted from 1 over all requests."""
    write: int
    """Counted from 1 over the requests that are no `GET`; 0 for a `GET`."""
    method: str
    path: str
    """Percent-encoded, without the query."""
    query: Mapping[str, str]
    at: float
    """Seconds since the epoch."""
    status: int | None = None
    """What the homeserver answered; `None` while, or because, it did not."""

    def __str__(self) -> str:
        return f"{self.number}: {self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Hold:
    """Say nothing until `lift`, then cut; with `done` the homeserver has done it already."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the connection without a word; with `done` the homeserver has done it already."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer this in the place of the homeserver, which hears nothing of it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delay:
    """Pass it on only after so many seconds: a homeserver that is slow to take it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Hand on what the homeserver answers with another body."""

    body: Callable[[bytes], bytes]


Fault = Hold | Cut | Answer | Delay | Change


def no_fault(_: Passage) -> Fault | None:
    """Let everything pass."""
    return None


def as_asked(raw_path: str) -> str:
    """Ask the homeserver what the daemon asks."""
    return raw_path


class Proxy:
    """A proxy to the homeserver at `target`; an async context manager that listens while it is entered.

    `fault` may be replaced at any time, and so may `reword`, which says what to ask the homeserver instead of
    a path with its query. A homeserver that can't be reached is a cut connection, as it would be without the
    proxy, but counted.
    """

    def __init__(self, target: str) -> None:
        self.target = target.rstrip("/")
        self.fault: Callable[[Passage], Fault | None] = no_fault
        self.reword: Callable[[str], str] = as_asked
        self.passages: list[Passage] = []
        self.struck: list[Passage] = []
        """Those with a fault, once it has had its effect."""
        self._writes = 0
        self._lifted = anyio.Event()
        self._changed = anyio.Condition()
        self._exit = AsyncExitStack()
        self._port = 0

    @property
    def url(self) -> str:
        """The URL to give to the daemon as its homeserver."""
        return f"http://{HOST}:{self._port}"

    @property
    def writes(self) -> list[Passage]:
        """The requests that are no `GET`."""
        return [passage for passage in self.passages if passage.write]

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        self._upstream = await self._exit.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        )
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        # A daemon that was killed takes its requests with it, the long poll among them.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        self._port = runner.addresses[0][1]
        self._exit.callback(self.lift)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._exit.aclose()

    def lift(self) -> None:
        """Let everything pass from now on, and cut what is held."""
        self.fault = no_fault
        self._lifted.set()
        self._lifted = anyio.Event()

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Return when `condition` holds; it is asked again after every request and every fault.

        Raises:
            NothingSeen: it never held in time; the message has the last requests.
        """
        with anyio.move_on_after(timeout_s):
            async with self._changed:
                while not condition():
                    await self._changed.wait()
                return
        last = "".join(f"\n  {passage}" for passage in self.passages[-10:])
        raise NothingSeen(f"waited {timeout_s} s in vain at the proxy; the last requests:{last}")

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        write = 0
        if request.method != "GET":
            self._writes += 1
            write = self._writes
        path = request.raw_path.partition("?")[0]
        number, query = len(self.passages) + 1, dict(request.query)
        passage = Passage(number, write, request.method, path, query, time.time())
        self.passages.append(passage)
        fault = self.fault(passage)
        await self._tell()
        match fault:
            case None:
                return await self._forward(request, passage) or _cut(request)
            case Delay(seconds):
                await anyio.sleep(seconds)
                await self._strike(passage)
                return await self._forward(request, passage) or _cut(request)
            case Answer(status, body, headers):
                await self._strike(passage)
                return web.Response(status=status, body=body, headers=headers)
            case Change(body):
                answer = await self._forward(request, passage)
                if answer is None or not isinstance(answer.body, bytes):
                    return _cut(request)
                answer.body = body(answer.body)
                await self._strike(passage)
                return answer
            case Hold(done) | Cut(done):
                lifted = self._lifted
                if done:
                    await self._forward(request, passage)
                await self._strike(passage)
                if isinstance(fault, Hold):
                    await lifted.wait()
                return _cut(request)

    async def _forward(self, request: web.Request, passage: Passage) -> web.Response | None:
        """Have the homeserver do it; `None` when it can't be reached."""
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        )
        url = URL(f"{self.target}{self.reword(request.raw_path)}", encoded=True)
        try:
            async with self._upstream.request(
                request.method, url, headers=headers, data=await request.read()
            ) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return None
        passage.status = answer.status
        await self._tell()
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }
        return web.Response(status=answer.status, body=body, headers=kept)

    async def _strike(self, passage: Passage) -> None:
        self.struck.append(passage)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)

"""An HTTP proxy on loopback between the daemon and its homeserver that records requests and injects faults.

The daemon is configured with the proxy as its homeserver. Requests are numbered as they arrive; `fault` decides what
fails in each, and when: before the homeserver has carried the request out, or after it, before the daemon has the
answer. A test of an interruption needs both.
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

from sandbox.errors import WaitTimeout

HOST = "127.0.0.1"

# Headers that belong to one connection, or are written anew for the other one.
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding"}
)


@dataclass(slots=True)
class ProxiedRequest:
    """One request and the status of its answer."""

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
    """The status of the homeserver's answer; `None` without an answer."""

    def __str__(self) -> str:
        return f"{self.number}: {self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Hold:
    """Answer nothing until `clear_fault`, then cut; with `done` the homeserver carries the request out first."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut the connection; with `done` the homeserver carries the request out first."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer without passing the request on."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delay:
    """Pass the request on after so many seconds, as a slow homeserver does."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Change the body of the homeserver's answer."""

    body: Callable[[bytes], bytes]


Fault = Hold | Cut | Answer | Delay | Change


def no_fault(_: ProxiedRequest) -> Fault | None:
    """Pass every request on."""
    return None


def unchanged_path(raw_path: str) -> str:
    """Pass the path on as it is."""
    return raw_path


class Proxy:
    """A proxy to the homeserver at `target`; an async context manager that listens while it is entered.

    `fault` may be replaced at any time, and so may `rewrite_path`, which changes a path with its query. When the
    homeserver can't be reached, the connection is cut, and the request is still recorded.
    """

    def __init__(self, target: str) -> None:
        self.target = target.rstrip("/")
        self.fault: Callable[[ProxiedRequest], Fault | None] = no_fault
        self.rewrite_path: Callable[[str], str] = unchanged_path
        self.requests: list[ProxiedRequest] = []
        self.faulted: list[ProxiedRequest] = []
        """The requests that had a fault, added when the fault takes effect."""
        self._writes = 0
        self._cleared = anyio.Event()
        self._changed = anyio.Condition()
        self._exit = AsyncExitStack()
        self._port = 0

    @property
    def url(self) -> str:
        """The URL to give to the daemon as its homeserver."""
        return f"http://{HOST}:{self._port}"

    @property
    def writes(self) -> list[ProxiedRequest]:
        """The requests that are no `GET`."""
        return [proxied for proxied in self.requests if proxied.write]

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
        self._exit.callback(self.clear_fault)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._exit.aclose()

    def clear_fault(self) -> None:
        """Pass every request on from now on, and cut the connections of requests that are held."""
        self.fault = no_fault
        self._cleared.set()
        self._cleared = anyio.Event()

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Return when `condition` holds; it is checked again after every request and every fault.

        Raises:
            WaitTimeout: it did not hold in time; the message has the last requests.
        """
        with anyio.move_on_after(timeout_s):
            async with self._changed:
                while not condition():
                    await self._changed.wait()
                return
        last = "".join(f"\n  {proxied}" for proxied in self.requests[-10:])
        raise WaitTimeout(
            f"the condition did not hold within {timeout_s} s; the last requests:{last}"
        )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        write = 0
        if request.method != "GET":
            self._writes += 1
            write = self._writes
        path = request.raw_path.partition("?")[0]
        number, query = len(self.requests) + 1, dict(request.query)
        proxied = ProxiedRequest(number, write, request.method, path, query, time.time())
        self.requests.append(proxied)
        fault = self.fault(proxied)
        await self._notify()
        match fault:
            case None:
                return await self._forward(request, proxied) or _cut(request)
            case Delay(seconds):
                await anyio.sleep(seconds)
                await self._record_fault(proxied)
                return await self._forward(request, proxied) or _cut(request)
            case Answer(status, body, headers):
                await self._record_fault(proxied)
                return web.Response(status=status, body=body, headers=headers)
            case Change(body):
                answer = await self._forward(request, proxied)
                if answer is None or not isinstance(answer.body, bytes):
                    return _cut(request)
                answer.body = body(answer.body)
                await self._record_fault(proxied)
                return answer
            case Hold(done) | Cut(done):
                cleared = self._cleared
                if done:
                    await self._forward(request, proxied)
                await self._record_fault(proxied)
                if isinstance(fault, Hold):
                    await cleared.wait()
                return _cut(request)

    async def _forward(self, request: web.Request, proxied: ProxiedRequest) -> web.Response | None:
        """Pass the request on and return the answer; `None` when the homeserver can't be reached."""
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _OWN_HEADERS
        )
        url = URL(f"{self.target}{self.rewrite_path(request.raw_path)}", encoded=True)
        try:
            async with self._upstream.request(
                request.method, url, headers=headers, data=await request.read()
            ) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return None
        proxied.status = answer.status
        await self._notify()
        passed_on = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in _OWN_HEADERS
        }
        return web.Response(status=answer.status, body=body, headers=passed_on)

    async def _record_fault(self, proxied: ProxiedRequest) -> None:
        self.faulted.append(proxied)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)

"""An HTTP backend that answers as a test says, and records the requests with their times."""

import json
from collections.abc import Callable
from typing import Any

from matrix.errors import Unreachable
from matrix.http.backend import HttpRequest, HttpResponse
from tests.matrix.virtual_time import VirtualClock

Handler = Callable[[HttpRequest], HttpResponse]


def json_response(content: Any, status: int = 200, **headers: str) -> HttpResponse:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, names, json.dumps(content).encode())


def error_response(status: int, errcode: str = "M_UNKNOWN", **more: Any) -> HttpResponse:
    return json_response({"errcode": errcode, "error": "as the test says", **more}, status)


def no_connection(request: HttpRequest) -> HttpResponse:
    raise Unreachable("connect", "connection refused")


class FakeBackend:
    """An `HttpBackend`; a test may change `handler` at any time. Every request takes `latency_s`."""

    def __init__(self, clock: VirtualClock, handler: Handler, latency_s: float = 0.01) -> None:
        self.clock = clock
        self.handler = handler
        self.latency_s = latency_s
        self.requests: list[tuple[float, HttpRequest]] = []

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append((self.clock.now(), request))
        await self.clock.sleep(self.latency_s)
        return self.handler(request)

    def times(self, part: str = "") -> list[float]:
        return [at for at, request in self.requests if part in request.path]

"""A network that answers as a test says, and remembers what it was asked and when."""

import json
from collections.abc import Callable
from typing import Any

from matrix.errors import Unreachable
from matrix.http.backend import HttpAnswer, HttpRequest
from tests.matrix.virtual_time import VirtualClock

Behaviour = Callable[[HttpRequest], HttpAnswer]


def answer(content: Any, status: int = 200, **headers: str) -> HttpAnswer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, names, json.dumps(content).encode())


def error(status: int, errcode: str = "M_UNKNOWN", **more: Any) -> HttpAnswer:
    return answer({"errcode": errcode, "error": "as the test says", **more}, status)


def no_connection(request: HttpRequest) -> HttpAnswer:
    raise Unreachable("connect", "connection refused")


class FakeNetwork:
    """An `Exchange`; `behaviour` can be changed while it runs. Every request takes `takes_s`."""

    def __init__(self, clock: VirtualClock, behaviour: Behaviour, takes_s: float = 0.01) -> None:
        self.clock = clock
        self.behaviour = behaviour
        self.takes_s = takes_s
        self.asked: list[tuple[float, HttpRequest]] = []

    async def __call__(self, request: HttpRequest) -> HttpAnswer:
        self.asked.append((self.clock.now(), request))
        await self.clock.sleep(self.takes_s)
        return self.behaviour(request)

    def times(self, part: str = "") -> list[float]:
        return [at for at, request in self.asked if part in request.path]

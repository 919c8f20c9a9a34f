"""Passes the bot's requests on to the homeserver in memory, and draws what a homeserver may choose."""

import json
from typing import Any

from matrix.http.backend import HttpRequest, HttpResponse
from tests.simulation.faults import Faults
from tests.simulation.homeserver import SimulatedHomeserver
from tests.support.memory_homeserver import client_api
from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.rooms import Refused
from tests.support.memory_homeserver.sync import empty_sync, sync

_PAGE_SIZES = (1, 2, 3, 100)


def answer(status: int, content: Any, **headers: str) -> HttpResponse:
    """Return a response with JSON content; bytes are JSON already."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpResponse(status, names, body)


class Api:
    """Answers requests. A sync is answered at once here, because `network` implements long polls."""

    def __init__(self, server: SimulatedHomeserver, faults: Faults) -> None:
        self._server = server
        self._faults = faults

    def handle(self, http: HttpRequest, *, partial_room: bool = False) -> HttpResponse:
        """Carry a request out; with `partial_room` a new room gets only some of its first events."""
        request = Request.read(http.method, http.path, http.query, http.body, http.token or "")
        try:
            return answer(200, self._answer(request, partial_room))
        except Refused as refusal:
            if refusal.errcode == "M_UNRECOGNIZED":
                raise  # the homeserver in memory lacks what the bot asks for
            return answer(refusal.status, refusal.body)

    def _answer(self, request: Request, partial_room: bool) -> Any:
        rng = self._server.kernel.rng
        match request.parts:
            case ["sync"]:
                return self._sync(request)
            case ["createRoom"] if partial_room:
                client_api.authenticate(self._server, request)
                events = rng.randint(2, 7)
                room = self._server.create_room(self._server.bot, request.body, events)
                return {"room_id": room.room_id}
            case ["rooms", _, "messages"]:
                request.query = {**request.query, "limit": str(rng.choice(_PAGE_SIZES))}
                return client_api.answer(self._server, request)
            case _:
                return client_api.answer(self._server, request)

    def _sync(self, request: Request) -> bytes:
        client_api.authenticate(self._server, request)
        sync_query = client_api.sync_request(self._server, request)
        rng = self._server.kernel.rng
        if self._faults.gappy and rng.random() < 0.5:
            sync_query.wanted.limit = rng.choice((1, 2, 3, 5))
        sync_query.overlap = rng.randint(1, 4) if self._faults.repeats_events() else 0
        return sync(self._server, sync_query) or empty_sync(self._server.position)

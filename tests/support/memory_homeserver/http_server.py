"""Serves the homeserver over HTTP, with long polls and the control endpoints.

Requests are dispatched by hand: a router that matches patterns would cost more than most answers.
"""

import asyncio
import json
import logging
from typing import Any

from aiohttp import web

from tests.support.memory_homeserver.bench import Bench
from tests.support.memory_homeserver.client_api import answer, authenticate, sync_request
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.rooms import AccountData, Event, Refused
from tests.support.memory_homeserver.sync import empty_sync, sync

_LOG = logging.getLogger(__name__)


class HttpServer:
    """Answers every request; `put_delay_s` is how long a `PUT` of a message takes."""

    def __init__(self, server: Homeserver, bench: Bench, put_delay_s: float = 0.0) -> None:
        self._server = server
        self._bench = bench
        self._put_delay_s = put_delay_s
        self._changed = asyncio.Event()
        server.listeners.append(self._wake)

    async def handle(self, http: web.BaseRequest) -> web.Response:
        """Answer one HTTP request; Matrix errors become their JSON form."""
        path, _, query_text = http.raw_path.partition("?")
        query = dict(http.query) if query_text else {}
        token = http.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            request = Request.read(http.method, path, query, await http.read(), token)
            content = await self._answer(request)
        except Refused as refusal:
            return _response(refusal.body, refusal.status)
        except (KeyError, TypeError, ValueError) as fault:
            _LOG.warning("%s %s: %r", http.method, path, fault)
            error = {"errcode": "M_BAD_JSON", "error": f"{type(fault).__name__}: {fault}"}
            return _response(error, 400)
        return _response(content, 200)

    async def _answer(self, request: Request) -> Any:
        match request.method, request.parts:
            case _, ["_bench", action]:
                return await self._bench.answer(action, request.body)
            case "GET", ["sync"]:
                return await self._sync(request)
            case "PUT", ["rooms", room_id, "send", *_]:
                before = self._server.position
                sent = answer(self._server, request)
                is_new = self._server.position > before
                self._bench.count(room_id, request.body, is_new=is_new)
                if self._put_delay_s:
                    await asyncio.sleep(self._put_delay_s)
                return sent
            case _:
                return answer(self._server, request)

    async def _sync(self, request: Request) -> bytes:
        server = self._server
        authenticate(server, request)
        sync_query = sync_request(server, request)
        position = server.position
        shown = sync(server, sync_query)
        try:
            async with asyncio.timeout(int(request.query.get("timeout", "0")) / 1000):
                while shown is None:
                    await self._wait_behind(position)
                    position = server.position
                    shown = sync(server, sync_query)
        except TimeoutError:
            # The token still moves past events that are not for this user.
            sync_query.since = position
            return sync(server, sync_query) or empty_sync(position)
        return shown

    async def _wait_behind(self, position: int) -> None:
        """Return when there are entries after a position of the log."""
        while self._server.position <= position:
            await self._changed.wait()

    def _wake(self, _: Event | AccountData) -> None:
        """Wake all long polls; a new event each time, because several may wait."""
        self._changed.set()
        self._changed = asyncio.Event()


def _response(content: Any, status: int) -> web.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return web.Response(body=body, status=status, content_type="application/json")

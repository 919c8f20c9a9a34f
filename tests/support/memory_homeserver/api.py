"""The client-server API over HTTP: who asks, what for, and JSON in and out.

Requests are dispatched by hand: a router that matches patterns would cost more than most of
what is done here. Everything about one room is in `room_api`, the rest of the API here.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.support.memory_homeserver.bench import Bench
from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.room_api import answer_about_room
from tests.support.memory_homeserver.syncing import Filter, position_of, sync
from tests.support.memory_homeserver.world import JsonObject, Refused, World

_LOG = logging.getLogger(__name__)

_VERSIONS = {"versions": ["v1.1", "v1.11", "v1.13"], "unstable_features": {}}
_CAPABILITIES = {"capabilities": {"m.room_versions": {"default": "12", "available": {}}}}
_KEYS_UPLOADED = {"one_time_key_counts": {"signed_curve25519": 50}}


class Api:
    """Answers every request; `put_delay_s` is how long a `PUT` of a message takes."""

    def __init__(self, world: World, bench: Bench, put_delay_s: float = 0.0) -> None:
        self._world = world
        self._bench = bench
        self._put_delay_s = put_delay_s
        self._by_first_part: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "account": self._account,
            "devices": self._devices,
            "createRoom": self._create_room,
            "join": self._join,
            "joined_rooms": self._joined_rooms,
            "keys": self._keys,
            "profile": self._profile,
            "rooms": self._room,
            "sync": self._sync,
            "user": self._user,
        }

    async def handle(self, http: web.BaseRequest) -> web.Response:
        """Answer one HTTP request; Matrix errors become their JSON form."""
        path, _, query_text = http.raw_path.partition("?")
        parts = [unquote(part) if "%" in part else part for part in path.split("/")[1:]]
        query = dict(http.query) if query_text else {}
        request = Request(http.method, path, parts, query, await http.read())
        request.token = http.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            answer = await self._answer(request)
        except Refused as refusal:
            error = {"errcode": refusal.errcode, "error": refusal.reason}
            return _response(json.dumps(error).encode(), refusal.status)
        except (KeyError, TypeError, ValueError) as fault:
            _LOG.warning("%s %s: %r", request.method, request.path, fault)
            error = {"errcode": "M_BAD_JSON", "error": f"{type(fault).__name__}: {fault}"}
            return _response(json.dumps(error).encode(), 400)
        if not isinstance(answer, bytes):
            answer = json.dumps(answer).encode()
        return _response(answer, 200)

    async def _answer(self, request: Request) -> Any:
        match request.parts:
            case ["_bench", action]:
                return await self._bench.answer(action, request.json())
            case ["_matrix", "client", "versions"]:
                return _VERSIONS
            case ["_matrix", "client", _, "login"]:
                return self._login(request)
            case ["_matrix", "client", _, *parts]:
                request.parts = parts
            case _:
                raise request.unrecognized()
        if not request.token:
            raise Refused(401, "M_MISSING_TOKEN", "Missing access token")
        request.user_id, request.device_id = self._world.session(request.token)
        endpoint = self._by_first_part.get(parts[0])
        if endpoint is None:
            if parts[0] in ("capabilities", "presence", "sendToDevice", "logout"):
                return _CAPABILITIES if parts[0] == "capabilities" else {}
            raise request.unrecognized()
        return await endpoint(request)

    def _login(self, request: Request) -> JsonObject:
        if request.method == "GET":
            return {"flows": [{"type": "m.login.password"}]}
        login = request.json()
        user = login.get("identifier", {}).get("user") or login["user"]
        user_id = user if user.startswith("@") else f"@{user}:{self._world.server_name}"
        token, device_id = self._world.log_in(user_id, login.get("device_id"))
        return {"user_id": user_id, "access_token": token, "device_id": device_id}

    async def _account(self, request: Request) -> JsonObject:
        if request.parts[1:] != ["whoami"]:
            raise request.unrecognized()
        return {"user_id": request.user_id, "device_id": request.device_id, "is_guest": False}

    async def _devices(self, request: Request) -> JsonObject:
        return {"devices": [{"device_id": request.device_id, "user_id": request.user_id}]}

    async def _keys(self, request: Request) -> JsonObject:
        if request.parts[1] == "upload":
            return _KEYS_UPLOADED
        return {"device_keys": {}, "one_time_keys": {}, "failures": {}}

    async def _create_room(self, request: Request) -> JsonObject:
        return {"room_id": self._world.create_room(request.user_id, request.json()).room_id}

    async def _join(self, request: Request) -> Any:
        request.parts = ["rooms", request.parts[1], "join"]
        return answer_about_room(self._world, request)

    async def _joined_rooms(self, request: Request) -> JsonObject:
        rooms = self._world.rooms_of.get(request.user_id, {})
        joined = [r.room_id for r in rooms.values() if r.membership(request.user_id) == "join"]
        return {"joined_rooms": joined}

    async def _profile(self, request: Request) -> JsonObject:
        user_id = request.parts[1]
        if request.method == "PUT":
            self._world.display_names[user_id] = request.json()["displayname"]
            return {}
        return {"displayname": self._world.display_name(user_id)}

    async def _room(self, request: Request) -> Any:
        if request.method == "PUT" and request.parts[2] == "send":
            return await self._send(request)
        return answer_about_room(self._world, request)

    async def _send(self, request: Request) -> bytes:
        room = self._world.room(request.parts[1], request.user_id)
        kind, content = request.parts[3], request.json()
        event_id, is_new = self._world.send_once(
            request.token, request.path, room, request.user_id, kind, content
        )
        self._bench.saw(room.room_id, content, is_new=is_new)
        if self._put_delay_s:
            await asyncio.sleep(self._put_delay_s)
        return b'{"event_id":"%b"}' % event_id.encode()

    async def _sync(self, request: Request) -> bytes:
        text = request.query.get("since")
        since = position_of(text) if text else None
        wanted = Filter(self._filter(request.query.get("filter", "{}")))
        full_state = request.query.get("full_state") == "true"
        seen = len(self._world.log)
        answer = sync(self._world, request.user_id, since, wanted, full_state)
        try:
            async with asyncio.timeout(int(request.query.get("timeout", "0")) / 1000):
                while answer is None:
                    await self._world.wait_for_news(seen)
                    seen = len(self._world.log)
                    answer = sync(self._world, request.user_id, since, wanted)
        except TimeoutError:
            # The token moves on even so, past what was not for this user.
            answer = sync(self._world, request.user_id, seen, wanted) or _nothing(seen)
        return answer

    def _filter(self, text: str) -> JsonObject:
        definition = json.loads(text) if text.startswith("{") else self._world.filters[int(text)]
        return dict(definition)

    async def _user(self, request: Request) -> Any:
        match request.method, request.parts[2:]:
            case "POST", ["filter"]:
                self._world.filters.append(request.json())
                return {"filter_id": str(len(self._world.filters) - 1)}
            case "GET", ["filter", filter_id]:
                return self._filter(filter_id)
            case method, ["account_data", kind]:
                return self._account_data(request, method, "", kind)
            case method, ["rooms", room_id, "account_data", kind]:
                return self._account_data(request, method, room_id, kind)
            case _:
                raise request.unrecognized()

    def _account_data(self, request: Request, method: str, room_id: str, kind: str) -> JsonObject:
        if method == "PUT":
            self._world.set_account_data(request.user_id, room_id, kind, request.json())
            return {}
        entry = self._world.account_data.get((request.user_id, room_id), {}).get(kind)
        if entry is None:
            raise Refused(404, "M_NOT_FOUND", "Account data not found")
        return dict(json.loads(entry.raw)["content"])


def _nothing(position: int) -> bytes:
    return b'{"next_batch":"s%d"}' % position


def _response(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")

"""The part of the client-server API that the bot uses, put to the model."""

import json
from typing import Any
from urllib.parse import unquote

from matrix.http.backend import HttpRequest, HttpResponse
from tests.simulation.faults import Faults
from tests.simulation.homeserver import Homeserver, Refusal
from tests.simulation.room_api import RoomApi
from tests.simulation.syncing import position_of, sync

_PREFIX = "/_matrix/client/v3/"


def segments(request: HttpRequest) -> list[str]:
    """Return the path behind the prefix, decoded."""
    return [unquote(part) for part in request.path.removeprefix(_PREFIX).split("/")]


def answer(status: int, content: Any, **headers: str) -> HttpResponse:
    """Return an answer as JSON."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, names, json.dumps(content).encode())


class Api:
    """Answers requests. Long polls are `network`'s; this answers a sync at once."""

    def __init__(self, server: Homeserver, faults: Faults, names: dict[str, str]) -> None:
        self._server = server
        self._faults = faults
        self._names = names
        self._rooms = RoomApi(server)

    def handle(self, request: HttpRequest, *, partial_room: bool = False) -> HttpResponse:
        """Carry a request out and answer it."""
        body = json.loads(request.body) if request.body else {}
        try:
            content = self._dispatch(request, segments(request), body, partial_room)
        except Refusal as refusal:
            return answer(refusal.status, refusal.body)
        return answer(200, content)

    def _dispatch(
        self, request: HttpRequest, path: list[str], body: dict[str, Any], partial_room: bool
    ) -> Any:
        server = self._server
        if path == ["login"]:
            return self._log_in(body)
        if path[-1] == "versions":
            return {"versions": ["v1.11"]}
        device = server.device(request.token)
        match path:
            case ["account", "whoami"]:
                return {"user_id": server.bot, "device_id": device}
            case ["sync"]:
                return self._sync(request)
            case ["joined_rooms"]:
                rooms = server.rooms.values()
                joined = [room.room_id for room in rooms if room.membership(server.bot) == "join"]
                return {"joined_rooms": joined}
            case ["createRoom"]:
                events = server.kernel.chance.randint(2, 7) if partial_room else None
                return {"room_id": server.create_room(server.bot, body, events).room_id}
            case ["profile", user_id, "displayname"]:
                return {"displayname": self._names[user_id]}
            case ["rooms", room_id, *rest]:
                return self._rooms.handle(request, room_id, rest, body, device)
            case ["user", _, "rooms", room_id, "account_data", kind]:
                return self._account_data(request.method, room_id, kind, body)
            case _:
                raise AssertionError(f"the model knows no {request.method} {request.path}")

    def _log_in(self, body: dict[str, Any]) -> Any:
        if body.get("password") != "secret":
            raise Refusal(403, "M_FORBIDDEN")
        device = body["device_id"]
        token = self._server.log_in(device)
        return {"user_id": self._server.bot, "device_id": device, "access_token": token}

    def _sync(self, request: HttpRequest) -> Any:
        query, chance = request.query, self._server.kernel.chance
        wanted = json.loads(query["filter"])
        limit = wanted["room"]["timeline"]["limit"]
        if self._faults.gappy and chance.random() < 0.5:
            limit = chance.choice((1, 2, 3, 5))
        overlap = chance.randint(1, 4) if self._faults.repeats_events() else 0
        since = position_of(query["since"]) if "since" in query else None
        full_state = query.get("full_state") == "true"
        return sync(
            self._server, since, wanted, full_state=full_state, limit=limit, overlap=overlap
        )

    def _account_data(self, method: str, room_id: str, kind: str, body: dict[str, Any]) -> Any:
        data = self._server.account_data.setdefault(room_id, {})
        if method == "PUT":
            data[kind] = body
            return {}
        if kind not in data:
            raise Refusal(404, "M_NOT_FOUND")
        return data[kind]

"""The client-server API without a network: requests and answers of the part that bots and test users use.

What concerns one room is in `room_api`. A sync without news returns at once here; the adapters implement long polls.
"""

import json
from typing import Any

from tests.support.memory_homeserver.filters import Filter
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.room_api import answer_about_room
from tests.support.memory_homeserver.rooms import JsonObject, Refused
from tests.support.memory_homeserver.sync import SyncRequest, empty_sync, position_of, sync

_VERSIONS = {"versions": ["v1.1", "v1.11", "v1.13"], "unstable_features": {}}
_CAPABILITIES = {"capabilities": {"m.room_versions": {"default": "12", "available": {}}}}
_KEYS_UPLOADED = {"one_time_key_counts": {"signed_curve25519": 50}}


def answer(server: Homeserver, request: Request) -> Any:
    """Carry a request out and return its answer: a JSON value, or bytes of JSON.

    Raises:
        Refused: the homeserver answers with an error.
    """
    if request.parts == ["versions"]:
        return _VERSIONS
    if request.parts == ["login"]:
        return _log_in(server, request)
    authenticate(server, request)
    match request.parts:
        case ["rooms", room_id, action, *rest]:
            return answer_about_room(server, request, room_id, [action, *rest])
        case ["join", room_id]:
            return answer_about_room(server, request, room_id, ["join"])
        case ["sync"]:
            return sync(server, sync_request(server, request)) or empty_sync(server.position)
        case ["joined_rooms"]:
            rooms = server.rooms_of.get(request.user_id, {}).values()
            joined = [each.room_id for each in rooms if each.membership(request.user_id) == "join"]
            return {"joined_rooms": joined}
        case ["createRoom"]:
            return {"room_id": server.create_room(request.user_id, request.body).room_id}
        case ["user", _, "filter"]:
            server.filters.append(request.body)
            return {"filter_id": str(len(server.filters) - 1)}
        case ["user", _, "filter", filter_id]:
            return server.filters[int(filter_id)]
        case ["user", _, "account_data", kind]:
            return _account_data(server, request, "", kind)
        case ["user", _, "rooms", room_id, "account_data", kind]:
            return _account_data(server, request, room_id, kind)
        case _:
            return _about_account(server, request)


def authenticate(server: Homeserver, request: Request) -> None:
    """Fill in the user and the device of the request's token."""
    if not request.token:
        raise Refused(401, "M_MISSING_TOKEN", "Missing access token")
    request.user_id, request.device_id = server.session(request.token)


def sync_request(server: Homeserver, request: Request) -> SyncRequest:
    """Read the query of a sync."""
    query = request.query
    text = query.get("filter", "{}")
    definition = json.loads(text) if text.startswith("{") else server.filters[int(text)]
    return SyncRequest(
        user_id=request.user_id,
        since=position_of(query["since"]) if query.get("since") else None,
        wanted=Filter(definition),
        full_state=query.get("full_state") == "true",
    )


def _log_in(server: Homeserver, request: Request) -> JsonObject:
    """Open a session; any password will do."""
    if request.method == "GET":
        return {"flows": [{"type": "m.login.password"}]}
    login = request.body
    user = login.get("identifier", {}).get("user") or login["user"]
    user_id = user if user.startswith("@") else f"@{user}:{server.server_name}"
    token, device_id = server.log_in(user_id, login.get("device_id"))
    return {"user_id": user_id, "access_token": token, "device_id": device_id}


def _account_data(server: Homeserver, request: Request, room_id: str, kind: str) -> JsonObject:
    if request.method == "PUT":
        server.set_account_data(request.user_id, room_id, kind, request.body)
        return {}
    entry = server.account_data.get((request.user_id, room_id), {}).get(kind)
    if entry is None:
        raise Refused(404, "M_NOT_FOUND", "Account data not found")
    return dict(entry.content)


def _about_account(server: Homeserver, request: Request) -> JsonObject:
    match request.parts:
        case ["account", "whoami"]:
            return {"user_id": request.user_id, "device_id": request.device_id, "is_guest": False}
        case ["devices"]:
            return {"devices": [{"device_id": request.device_id, "user_id": request.user_id}]}
        case ["profile", user_id, *_]:
            if request.method == "PUT":
                server.display_names[user_id] = request.body["displayname"]
            return {"displayname": server.display_name(user_id)}
        case ["keys", "upload"]:
            return _KEYS_UPLOADED
        case ["keys", *_]:
            return {"device_keys": {}, "one_time_keys": {}, "failures": {}}
        case ["capabilities"]:
            return _CAPABILITIES
        case ["presence" | "sendToDevice" | "logout", *_]:
            return {}
        case _:
            raise request.unrecognized()

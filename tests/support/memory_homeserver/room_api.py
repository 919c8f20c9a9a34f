"""The part of the client-server API below `/rooms/{roomId}`."""

import json
from typing import Any

from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.rooms import Event, JsonObject, Refused, Room
from tests.support.memory_homeserver.sync import messages, position_of

_DEFAULT_PAGE = "10"


def answer_about_room(server: Homeserver, request: Request, room_id: str, rest: list[str]) -> Any:
    """Answer a request about one room; `rest` is the path after its id.

    Raises:
        Refused: there is no such room or endpoint, or the user may not do this.
    """
    match request.method, rest:
        case "POST", ["join" | "leave" | "forget" as action]:
            return _change_own_membership(server, request, server.room(room_id), action)
        case "PUT", ["send", kind, _]:
            return _send_once(server, request, room_id, kind, request.body)
        case "PUT", ["redact", event_id, _]:
            content = {"redacts": event_id, **request.body}
            return _send_once(server, request, room_id, "m.room.redaction", content)
        case "GET", _:
            return _read(server, request, server.room(room_id, request.user_id), rest)
        case _:
            return _write(server, request, server.room(room_id, request.user_id), rest)


def _change_own_membership(
    server: Homeserver, request: Request, room: Room, action: str
) -> JsonObject:
    user_id = request.user_id
    if action == "join":
        if room.membership(user_id) not in ("invite", "join") and not server.may_join(
            room, user_id
        ):
            raise Refused(403, "M_FORBIDDEN", "You are not invited to this room.")
        server.set_membership(room, user_id, user_id, "join")
    elif action == "leave":
        server.set_membership(room, user_id, user_id, "leave")
    else:
        server.forget(room, user_id)
    return {"room_id": room.room_id}


def _send_once(
    server: Homeserver, request: Request, room_id: str, kind: str, content: JsonObject
) -> JsonObject:
    session = (request.user_id, request.device_id)
    return {"event_id": server.send_once(session, request.path, room_id, kind, content)}


def _write(server: Homeserver, request: Request, room: Room, rest: list[str]) -> JsonObject:
    user_id, body = request.user_id, request.body
    match rest:
        case ["state", kind, *key]:
            event = server.send(room, user_id, kind, body, key[0] if key else "")
            return {"event_id": event.event_id}
        case ["invite" | "kick" | "ban" as action]:
            other = body["user_id"]
            if action == "invite" and room.membership(other) == "join":
                raise Refused(403, "M_FORBIDDEN", f"{other} is already in the room.")
            membership = {"invite": "invite", "kick": "leave", "ban": "ban"}[action]
            server.set_membership(room, user_id, other, membership, body.get("reason"))
        case ["read_markers"]:
            if "m.fully_read" in body:
                marker = {"event_id": body["m.fully_read"]}
                server.set_account_data(user_id, room.room_id, "m.fully_read", marker, quiet=True)
        case ["typing" | "receipt", *_]:
            pass  # not stored, because no client reads it
        case _:
            raise request.unrecognized()
    return {}


def _read(server: Homeserver, request: Request, room: Room, rest: list[str]) -> Any:
    match rest:
        case ["state"]:
            return b"[%b]" % b",".join(event.raw_with_room for event in room.state.values())
        case ["state", kind, *key]:
            event = room.state.get((kind, key[0] if key else ""))
            if event is None:
                raise Refused(404, "M_NOT_FOUND", "Event not found.")
            if request.query.get("format") == "event":
                return _whole(server, event)
            return event.content
        case ["members"]:
            unwanted = request.query.get("not_membership")
            members = [
                event.raw_with_room
                for event in room.state.values()
                if event.type == "m.room.member" and event.content["membership"] != unwanted
            ]
            return b'{"chunk":[%b]}' % b",".join(members)
        case ["event", event_id]:
            for event in room.events:
                if event.event_id == event_id:
                    return _with_newest_edit(room, event)
            raise Refused(404, "M_NOT_FOUND", "Event not found.")
        case ["messages"]:
            return _messages(server, request, room)
        case _:
            raise request.unrecognized()


def _with_newest_edit(room: Room, event: Event) -> Any:
    """Return an event with the newest edit of it by its author, as Synapse aggregates it."""
    for edit in reversed(room.events):
        relation = edit.content.get("m.relates_to")
        if (
            isinstance(relation, dict)
            and (relation.get("rel_type"), relation.get("event_id"))
            == ("m.replace", event.event_id)
            and (edit.sender, edit.type) == (event.sender, event.type)
        ):
            shown: JsonObject = json.loads(event.raw_with_room)
            relations = {"m.relations": {"m.replace": json.loads(edit.raw_with_room)}}
            shown["unsigned"] = shown.get("unsigned", {}) | relations
            return shown
    return event.raw_with_room


def _messages(server: Homeserver, request: Request, room: Room) -> bytes:
    query = request.query
    forward = query["dir"] == "f"
    start = 0 if forward else server.position
    if "from" in query:
        start = position_of(query["from"])
    stop = position_of(query["to"]) if "to" in query else None
    wanted = json.loads(query.get("filter", "{}"))
    limit = int(query.get("limit", _DEFAULT_PAGE))
    return messages(room, start, stop, wanted, limit, forward=forward)


def _whole(server: Homeserver, event: Event) -> JsonObject:
    """Return a whole state event; of the event that it replaced sometimes only the id, as in Synapse."""
    shown: JsonObject = json.loads(event.raw_with_room)
    if event.replaced is not None and server.chance() < 0.5:
        shown["unsigned"] = {"replaces_state": event.replaced.event_id}
    return shown

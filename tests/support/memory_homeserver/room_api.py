"""The part of the client-server API below `/rooms/{roomId}`."""

import json
from typing import Any

from tests.support.memory_homeserver.request import Request
from tests.support.memory_homeserver.syncing import messages, position_of, token
from tests.support.memory_homeserver.world import Event, JsonObject, Refused, Room, World

# Accepted and not kept: nobody is there to see them.
_UNSEEN = ("typing", "receipt", "read_markers")


def answer_about_room(world: World, request: Request) -> Any:
    """Answer a request about one room, except the sending of messages.

    Raises:
        Refused: there is no such room or endpoint, or the user has no business there.
    """
    room_id, action = request.parts[1], request.parts[2]
    if action in _UNSEEN:
        return {}
    if request.method == "POST":
        return _post(world, request, world.room(room_id), action)
    room = world.room(room_id, request.user_id)
    if request.method == "PUT":
        return _put(world, request, room)
    return _get(world, request, room)


def _post(world: World, request: Request, room: Room, action: str) -> JsonObject:
    user_id = request.user_id
    match action:
        case "join":
            rule = room.state["m.room.join_rules", ""].content["join_rule"]
            if room.membership(user_id) not in ("invite", "join") and rule != "public":
                raise Refused(403, "M_FORBIDDEN", "You are not invited to this room.")
            world.set_membership(room, user_id, user_id, "join")
            return {"room_id": room.room_id}
        case "leave":
            world.set_membership(room, user_id, user_id, "leave")
        case "forget":
            world.forget(room, user_id)
        case "invite" | "kick" | "ban":
            world.room(room.room_id, user_id)
            invited = request.json()["user_id"]
            if action == "invite" and room.membership(invited) == "join":
                raise Refused(403, "M_FORBIDDEN", f"{invited} is already in the room.")
            membership = {"invite": "invite", "kick": "leave", "ban": "ban"}[action]
            world.set_membership(room, user_id, invited, membership)
        case _:
            raise request.unrecognized()
    return {}


def _put(world: World, request: Request, room: Room) -> JsonObject:
    match request.parts[2:]:
        case ["state", kind, *key]:
            state_key = key[0] if key else ""
            event = world.send(room, request.user_id, kind, request.json(), state_key)
        case ["redact", event_id, _]:
            content = {"redacts": event_id, **request.json()}
            event = world.send(room, request.user_id, "m.room.redaction", content)
        case _:
            raise request.unrecognized()
    return {"event_id": event.event_id}


def _get(world: World, request: Request, room: Room) -> Any:
    match request.parts[2:]:
        case ["state"]:
            return b"[%b]" % b",".join(event.raw_with_room for event in room.state.values())
        case ["state", kind, *key]:
            event = room.state.get((kind, key[0] if key else ""))
            if event is None:
                raise Refused(404, "M_NOT_FOUND", "Event not found.")
            return _whole(event) if request.query.get("format") == "event" else event.content
        case ["messages"]:
            return _messages(world, request, room)
        case ["joined_members"]:
            joined = [key for kind, key in room.state if _is_joined(room, kind, key)]
            return {"joined": {key: {"display_name": world.display_name(key)} for key in joined}}
        case ["members"]:
            members = [
                e.raw_with_room for (kind, _), e in room.state.items() if kind == "m.room.member"
            ]
            return b'{"chunk":[%b]}' % b",".join(members)
        case ["event", event_id]:
            found = [event.raw_with_room for event in room.timeline if event.event_id == event_id]
            if not found:
                raise Refused(404, "M_NOT_FOUND", "Event not found.")
            return found[0]
        case _:
            raise request.unrecognized()


def _messages(world: World, request: Request, room: Room) -> bytes:
    forward = request.query["dir"] == "f"
    origin = 0 if forward else len(world.log)
    start = position_of(request.query["from"]) if "from" in request.query else origin
    stop = position_of(request.query["to"]) if "to" in request.query else None
    limit = int(request.query.get("limit", "10"))
    chunk, following = messages(room, start=start, stop=stop, forward=forward, limit=limit)
    end = b"" if following is None else b',"end":%b' % json.dumps(token(following)).encode()
    return b'{"chunk":[%b],"start":"%b"%b}' % (b",".join(chunk), token(start).encode(), end)


def _whole(event: Event) -> JsonObject:
    """Show a state event as Synapse may: of what it replaced only the id."""
    shown: JsonObject = json.loads(event.raw_with_room)
    if "unsigned" in shown:
        shown["unsigned"] = {"replaces_state": shown["unsigned"]["replaces_state"]}
    return shown


def _is_joined(room: Room, kind: str, user_id: str) -> bool:
    return kind == "m.room.member" and room.membership(user_id) == "join"

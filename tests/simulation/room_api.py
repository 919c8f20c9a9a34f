"""What is asked of one room: membership, writing, reading."""

import json
from typing import Any

from matrix.http.backend import HttpRequest
from tests.simulation.homeserver import Event, Homeserver, Refusal, Room
from tests.simulation.syncing import messages, position_of

PAGE_SIZES = (1, 2, 3, 100)


class RoomApi:
    """Answers what the bot asks of a room; `rest` is the path behind the room's id."""

    def __init__(self, server: Homeserver) -> None:
        self._server = server

    def handle(
        self, request: HttpRequest, room_id: str, rest: list[str], body: dict[str, Any], device: str
    ) -> Any:
        """Carry out one request."""
        room = self._server.room(room_id)
        if request.method == "POST" and rest in (["join"], ["leave"], ["forget"]):
            return self._go(room, rest[0])
        if rest[0] in ("send", "redact"):
            # A known transaction is answered as before, whoever is still in the room.
            known = self._server.known(device, room_id, rest[-1])
            if known is not None:
                return {"event_id": known}
        room = self._server.room(room_id, self._server.bot)
        if request.method == "GET":
            return self._read(room, rest, request)
        return self._write(room, rest, body, device)

    def _go(self, room: Room, where: str) -> Any:
        bot = self._server.bot
        if where == "join":
            if room.membership(bot) not in ("invite", "join"):
                raise Refusal(403, "M_FORBIDDEN")
            self._server.set_membership(room, bot, bot, "join")
        elif where == "leave":
            self._server.set_membership(room, bot, bot, "leave")
        return {"room_id": room.room_id}

    def _write(self, room: Room, rest: list[str], body: dict[str, Any], device: str) -> Any:
        server, bot = self._server, self._server.bot
        match rest:
            case ["send", kind, txn_id]:
                return {"event_id": server.send_once(device, room, txn_id, kind, body)}
            case ["redact", event_id, txn_id]:
                return {"event_id": server.redact_once(device, room, txn_id, event_id)}
            case ["state", kind, key]:
                return {"event_id": server.send(room, bot, kind, body, key).event_id}
            case ["invite"]:
                if room.membership(body["user_id"]) == "join":
                    raise Refusal(403, "M_FORBIDDEN")
                server.set_membership(room, bot, body["user_id"], "invite")
            case ["read_markers"]:
                if "m.fully_read" in body:
                    data = server.account_data.setdefault(room.room_id, {})
                    data["m.fully_read"] = {"event_id": body["m.fully_read"]}
            case ["typing", _]:
                pass
            case _:
                raise AssertionError(f"the model knows no {rest}")
        return {}

    def _read(self, room: Room, rest: list[str], request: HttpRequest) -> Any:
        match rest:
            case ["state"]:
                return [event.json() for event in room.state.values()]
            case ["state", kind, key]:
                event = room.state.get((kind, key))
                if event is None:
                    raise Refusal(404, "M_NOT_FOUND")
                if request.query.get("format") == "event":
                    return self._whole(event)
                return event.content
            case ["event", event_id]:
                for event in room.events:
                    if event.event_id == event_id:
                        return event.json()
                raise Refusal(404, "M_NOT_FOUND")
            case ["members"]:
                members = [each for each in room.state.values() if each.type == "m.room.member"]
                shown = [each.json() for each in members if each.content["membership"] != "leave"]
                return {"chunk": shown}
            case ["messages"]:
                return self._messages(room, request)
            case _:
                raise AssertionError(f"the model knows no {rest}")

    def _whole(self, event: Event) -> dict[str, Any]:
        """Show one state event; of what it replaced sometimes only the id, as Synapse does."""
        shown = event.json() | {"room_id": event.room_id}
        forks = self._server.forks
        if event.unsigned and forks is not None and forks.chance.random() < 0.5:
            shown["unsigned"] = {"replaces_state": event.unsigned["replaces_state"]}
        return shown

    def _messages(self, room: Room, request: HttpRequest) -> Any:
        query = request.query
        page = self._server.kernel.chance.choice(PAGE_SIZES)
        wanted = json.loads(query.get("filter", "{}"))
        stop = position_of(query["to"]) if "to" in query else None
        start = position_of(query["from"]) if "from" in query else self._server.position
        return messages(room, start, stop, wanted, page, forward=query["dir"] == "f")

"""A human on Matrix, for the demo and the system tests.

A person uses the raw client-server API, so that what the bot's own Matrix library believes is
never part of what a test checks. `MatrixSession` carries the requests, `Watching` the waiting.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from sandbox.errors import MatrixRefused, SandboxError
from sandbox.event_stream import Watching, history
from sandbox.http import JsonObject
from sandbox.room_event import RoomEvent
from sandbox.session import MatrixSession, escaped

_MEGOLM = {"algorithm": "m.megolm.v1.aes-sha2"}


class Person:
    """Someone with an account, logged in for as long as the `async with` block lasts.

    `user` is a localpart or a full Matrix id. With an `access_token` no login is made, which
    also lets a test look at the world through the bot's own session.
    """

    def __init__(
        self, url: str, user: str, password: str = "", *, access_token: str | None = None
    ) -> None:
        self.session = MatrixSession(url, user, password, access_token=access_token)
        self.watching = Watching(self.session)

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.session.__aexit__(exc_type, exc, traceback)

    @property
    def user_id(self) -> str:
        """The full Matrix id."""
        return self.session.user_id

    # -- rooms

    async def create_room(
        self,
        *,
        invite: Iterable[str] = (),
        name: str | None = None,
        encrypted: bool = False,
        **options: Any,
    ) -> str:
        """Make a private room and return its id; `options` are those of `createRoom`."""
        request: JsonObject = {"preset": "private_chat", "invite": list(invite), **options}
        if name is not None:
            request["name"] = name
        if encrypted:
            encryption = {"type": "m.room.encryption", "state_key": "", "content": _MEGOLM}
            request["initial_state"] = [*request.get("initial_state", []), encryption]
        room_id: str = (await self.session.request("POST", "/createRoom", request))["room_id"]
        return room_id

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invite someone."""
        await self._on_room(room_id, "invite", {"user_id": user_id})

    async def join(self, room_id: str) -> None:
        """Join a room; for an invited person, accept the invitation."""
        await self.session.request("POST", f"/join/{escaped(room_id)}", {})

    async def leave(self, room_id: str) -> None:
        """Leave a room, or turn an invitation down."""
        await self._on_room(room_id, "leave", {})

    async def kick(self, room_id: str, user_id: str, reason: str = "") -> None:
        """Remove someone."""
        await self._on_room(room_id, "kick", {"user_id": user_id, "reason": reason})

    async def rooms_invited(self) -> list[str]:
        """List the rooms with an open invitation, as of now."""
        await self.watching.catch_up()
        return list(self.watching.invitations)

    async def joined_rooms(self) -> list[str]:
        """List the rooms this person is in."""
        rooms: list[str] = (await self.session.request("GET", "/joined_rooms"))["joined_rooms"]
        return rooms

    async def room_state(self, room_id: str) -> list[RoomEvent]:
        """Read all state events of a room."""
        state = await self.session.request("GET", f"/rooms/{escaped(room_id)}/state")
        return [RoomEvent.of(room_id, raw) for raw in state]

    async def state_content(
        self, room_id: str, event_type: str, state_key: str = ""
    ) -> JsonObject | None:
        """Read the content of one state event; None when there is none."""
        path = f"/rooms/{escaped(room_id)}/state/{escaped(event_type)}/{escaped(state_key)}"
        return await self._unless_absent(path)

    async def members(self, room_id: str) -> dict[str, str]:
        """Map everyone who has anything to do with the room to their membership."""
        return {
            event.state_key: event.content["membership"]
            for event in await self.room_state(room_id)
            if event.type == "m.room.member" and event.state_key is not None
        }

    # -- saying things

    async def send_event(
        self, room_id: str, event_type: str, content: Mapping[str, Any], *, txn_id: str = ""
    ) -> str:
        """Send a message event of any type and return its id."""
        txn_id = txn_id or uuid.uuid4().hex
        path = f"/rooms/{escaped(room_id)}/send/{escaped(event_type)}/{escaped(txn_id)}"
        event_id: str = (await self.session.request("PUT", path, content))["event_id"]
        return event_id

    async def send_text(self, room_id: str, body: str, **extra: Any) -> str:
        """Send an `m.text`; `extra` joins its content."""
        content = {"msgtype": "m.text", "body": body, **extra}
        return await self.send_event(room_id, "m.room.message", content)

    async def edit(self, room_id: str, event_id: str, body: str) -> str:
        """Replace the text of an earlier message; return the id of the edit."""
        relation = {"rel_type": "m.replace", "event_id": event_id}
        new_content = {"msgtype": "m.text", "body": body}
        return await self.send_text(
            room_id, f"* {body}", **{"m.new_content": new_content, "m.relates_to": relation}
        )

    async def redact(self, room_id: str, event_id: str, reason: str = "") -> str:
        """Remove the content of an event; return the id of the redaction."""
        path = f"/rooms/{escaped(room_id)}/redact/{escaped(event_id)}/{uuid.uuid4().hex}"
        redaction: str = (await self.session.request("PUT", path, {"reason": reason}))["event_id"]
        return redaction

    async def send_state(
        self, room_id: str, event_type: str, content: Mapping[str, Any], state_key: str = ""
    ) -> str:
        """Set a state event and return its id."""
        path = f"/rooms/{escaped(room_id)}/state/{escaped(event_type)}/{escaped(state_key)}"
        event_id: str = (await self.session.request("PUT", path, content))["event_id"]
        return event_id

    # -- looking

    async def wait_for(
        self, predicate: Callable[[RoomEvent], bool], timeout_s: float = 30.0
    ) -> RoomEvent:
        """Return the first event, seen already or to come, that the predicate accepts.

        Raises:
            NothingSeen: there was none in time.
        """
        return await self.watching.wait_for(predicate, timeout_s)

    async def messages(self, room_id: str) -> list[RoomEvent]:
        """Read a room's whole history, oldest first, state events included."""
        return await history(self.session, room_id)

    async def latest_content(self, room_id: str, event_id: str) -> JsonObject:
        """Return what a message says after its edits; only its own sender can edit it."""
        events = await self.messages(room_id)
        original = next((event for event in events if event.event_id == event_id), None)
        if original is None:
            raise SandboxError(f"{self.user_id} sees no event {event_id} in {room_id}")
        content = original.content
        for event in events:
            if (
                event.replaces == event_id
                and event.sender == original.sender
                and event.type == original.type
            ):
                content = event.content.get("m.new_content", {})
        return content

    async def latest_text(self, room_id: str, event_id: str) -> str:
        """Return the plain text of a message after its edits."""
        return str((await self.latest_content(room_id, event_id)).get("body", ""))

    async def replies_to(self, room_id: str, event_id: str) -> list[RoomEvent]:
        """List the events that answer a message (contract D2); their edits do not count."""
        return [
            event
            for event in await self.messages(room_id)
            if event.answers == event_id and event.replaces is None
        ]

    async def account_data(self, data_type: str, room_id: str | None = None) -> JsonObject | None:
        """Read one's private account data, a room's or the global; None when there is none."""
        place = f"/rooms/{escaped(room_id)}" if room_id else ""
        user = escaped(self.user_id)
        return await self._unless_absent(f"/user/{user}{place}/account_data/{escaped(data_type)}")

    async def devices(self) -> list[JsonObject]:
        """List the devices of the account."""
        devices: list[JsonObject] = (await self.session.request("GET", "/devices"))["devices"]
        return devices

    async def set_display_name(self, name: str) -> None:
        """Change the name that others see."""
        path = f"/profile/{escaped(self.user_id)}/displayname"
        await self.session.request("PUT", path, {"displayname": name})

    async def _on_room(self, room_id: str, action: str, body: Mapping[str, Any]) -> None:
        await self.session.request("POST", f"/rooms/{escaped(room_id)}/{action}", body)

    async def _unless_absent(self, path: str) -> JsonObject | None:
        try:
            content: JsonObject = await self.session.request("GET", path)
        except MatrixRefused as refusal:
            if refusal.errcode == "M_NOT_FOUND":
                return None
            raise
        return content

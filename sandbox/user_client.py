"""A user's Matrix client, for the demo and the tests.

It uses the raw client-server API, so that no check depends on the bot's own Matrix library. Requests that only tests
make are in `tests/support/matrix_user.py`.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.errors import MatrixRefused, SandboxError
from sandbox.event_stream import EventStream, history
from sandbox.http import JsonObject
from sandbox.room_event import RoomEvent
from sandbox.session import MatrixSession, escaped


class UserClient(MatrixSession):
    """A session with the requests of a user; `stream` has the events that the session receives."""

    def __init__(
        self, url: str, user: str, password: str = "", *, access_token: str | None = None
    ) -> None:
        super().__init__(url, user, password, access_token=access_token)
        self.stream = EventStream(self)
        self.wait_for = self.stream.wait_for

    async def create_room(
        self, *, invite: Iterable[str] = (), name: str | None = None, **options: Any
    ) -> str:
        """Create a private room and return its id; `options` are those of `createRoom`."""
        request: JsonObject = {"preset": "private_chat", "invite": list(invite), **options}
        if name is not None:
            request["name"] = name
        room_id: str = (await self.request("POST", "/createRoom", request))["room_id"]
        return room_id

    async def join(self, room_id: str) -> None:
        """Join a room; for an invited user, accept the invitation."""
        await self.request("POST", f"/join/{escaped(room_id)}", {})

    async def rooms_invited(self) -> list[str]:
        """Sync, and return the rooms with an open invitation."""
        await self.stream.catch_up()
        return list(self.stream.invitations)

    async def state_content(
        self, room_id: str, event_type: str, state_key: str = ""
    ) -> JsonObject | None:
        """Return the content of a state event; None if there is none."""
        return await self.get_or_none(
            f"/rooms/{escaped(room_id)}/state/{escaped(event_type)}/{escaped(state_key)}"
        )

    # -- messages

    async def send_event(
        self, room_id: str, event_type: str, content: Mapping[str, Any], *, txn_id: str = ""
    ) -> str:
        """Send a message event of any type and return its id."""
        txn_id = txn_id or uuid.uuid4().hex
        path = f"/rooms/{escaped(room_id)}/send/{escaped(event_type)}/{escaped(txn_id)}"
        event_id: str = (await self.request("PUT", path, content))["event_id"]
        return event_id

    async def send_text(self, room_id: str, body: str, **extra: Any) -> str:
        """Send an `m.text`; `extra` is added to its content."""
        content = {"msgtype": "m.text", "body": body, **extra}
        return await self.send_event(room_id, "m.room.message", content)

    async def messages(self, room_id: str) -> list[RoomEvent]:
        """Return the whole history of a room, oldest first, with its state events."""
        return await history(self, room_id)

    async def latest_content(self, room_id: str, event_id: str) -> JsonObject:
        """Return the content of a message after its edits; only its sender can edit it."""
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

    async def replies_to(self, room_id: str, event_id: str) -> list[RoomEvent]:
        """Return the events that answer a message (contract D2), without their edits."""
        return [
            event
            for event in await self.messages(room_id)
            if event.answers == event_id and event.replaces is None
        ]

    async def get_or_none(self, path: str) -> JsonObject | None:
        """Return the response to a `GET`; None if there is nothing at that path."""
        try:
            content: JsonObject = await self.request("GET", path)
        except MatrixRefused as refusal:
            if refusal.errcode == "M_NOT_FOUND":
                return None
            raise
        return content

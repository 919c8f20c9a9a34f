"""A user's Matrix client, for the demo and the tests.

It uses the raw client-server API, so that no check depends on the bot's own Matrix library. `MatrixSession` sends the
requests, `EventStream` waits for events. Requests that only tests need are in `tests/support/matrix_user.py`.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from sandbox.errors import MatrixRefused, SandboxError
from sandbox.event_stream import EventStream, history
from sandbox.http import JsonObject
from sandbox.room_event import RoomEvent
from sandbox.session import MatrixSession, escaped


class UserClient:
    """A client that is logged in while its `async with` block lasts.

    `user` is a localpart or a full Matrix id. With an `access_token` the client continues that session without a login.
    """

    def __init__(
        self, url: str, user: str, password: str = "", *, access_token: str | None = None
    ) -> None:
        self.session = MatrixSession(url, user, password, access_token=access_token)
        self.stream = EventStream(self.session)

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

    async def create_room(
        self, *, invite: Iterable[str] = (), name: str | None = None, **options: Any
    ) -> str:
        """Create a private room and return its id; `options` are those of `createRoom`."""
        request: JsonObject = {"preset": "private_chat", "invite": list(invite), **options}
        if name is not None:
            request["name"] = name
        room_id: str = (await self.session.request("POST", "/createRoom", request))["room_id"]
        return room_id

    async def join(self, room_id: str) -> None:
        """Join a room; for an invited user, accept the invitation."""
        await self.session.request("POST", f"/join/{escaped(room_id)}", {})

    async def rooms_invited(self) -> list[str]:
        """Sync, and return the rooms with an open invitation."""
        await self.stream.catch_up()
        return list(self.stream.invitations)

    async def state_content(
        self, room_id: str, event_type: str, state_key: str = ""
    ) -> JsonObject | None:
        """Return the content of a state event; None when there is none."""
        path = f"/rooms/{escaped(room_id)}/state/{escaped(event_type)}/{escaped(state_key)}"
        return await self.get_or_none(path)

    # -- messages

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

    async def wait_for(
        self, predicate: Callable[[RoomEvent], bool], timeout_s: float = 30.0
    ) -> RoomEvent:
        """Return the first event, received or future, that the predicate accepts.

        Raises:
            WaitTimeout: there was none in time.
        """
        return await self.stream.wait_for(predicate, timeout_s)

    async def messages(self, room_id: str) -> list[RoomEvent]:
        """Return a room's whole history, oldest first, with its state events."""
        return await history(self.session, room_id)

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
        """Return the answer to a `GET`; None when there is nothing at that path."""
        try:
            content: JsonObject = await self.session.request("GET", path)
        except MatrixRefused as refusal:
            if refusal.errcode == "M_NOT_FOUND":
                return None
            raise
        return content

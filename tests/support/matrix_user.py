"""A Matrix user for tests: the client of the demo, with further requests."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.http import JsonObject
from sandbox.room_event import RoomEvent
from sandbox.session import escaped
from sandbox.user_client import UserClient

_ENCRYPTION = {
    "type": "m.room.encryption",
    "state_key": "",
    "content": {"algorithm": "m.megolm.v1.aes-sha2"},
}


class MatrixUser(UserClient):
    """A user who can also moderate rooms, edit messages and read private data.

    With the access token of the bot it reads what the bot's account sees.
    """

    async def create_room(
        self,
        *,
        invite: Iterable[str] = (),
        name: str | None = None,
        encrypted: bool = False,
        **options: Any,
    ) -> str:
        """Create a private room and return its id; `options` are those of `createRoom`."""
        if encrypted:
            options["initial_state"] = [*options.get("initial_state", []), _ENCRYPTION]
        return await super().create_room(invite=invite, name=name, **options)

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invite a user."""
        await self._on_room(room_id, "invite", {"user_id": user_id})

    async def leave(self, room_id: str) -> None:
        """Leave a room, or reject an invitation."""
        await self._on_room(room_id, "leave", {})

    async def kick(self, room_id: str, user_id: str, reason: str = "") -> None:
        """Remove a user from a room."""
        await self._on_room(room_id, "kick", {"user_id": user_id, "reason": reason})

    async def joined_rooms(self) -> list[str]:
        """Return the rooms that the user has joined."""
        rooms: list[str] = (await self.request("GET", "/joined_rooms"))["joined_rooms"]
        return rooms

    async def room_state(self, room_id: str) -> list[RoomEvent]:
        """Return all state events of a room."""
        state = await self.request("GET", f"/rooms/{escaped(room_id)}/state")
        return [RoomEvent.of(room_id, raw) for raw in state]

    async def members(self, room_id: str) -> dict[str, str]:
        """Return the membership of each user who has one in the room."""
        return {
            event.state_key: event.content["membership"]
            for event in await self.room_state(room_id)
            if event.type == "m.room.member" and event.state_key is not None
        }

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
        redaction: str = (await self.request("PUT", path, {"reason": reason}))["event_id"]
        return redaction

    async def send_state(
        self, room_id: str, event_type: str, content: Mapping[str, Any], state_key: str = ""
    ) -> str:
        """Set a state event and return its id."""
        path = f"/rooms/{escaped(room_id)}/state/{escaped(event_type)}/{escaped(state_key)}"
        event_id: str = (await self.request("PUT", path, content))["event_id"]
        return event_id

    async def latest_text(self, room_id: str, event_id: str) -> str:
        """Return the plain text of a message after its edits."""
        return str((await self.latest_content(room_id, event_id)).get("body", ""))

    async def account_data(self, data_type: str, room_id: str | None = None) -> JsonObject | None:
        """Return account data, of a room or global; None when there is none."""
        room = f"/rooms/{escaped(room_id)}" if room_id else ""
        user = escaped(self.user_id)
        return await self.get_or_none(f"/user/{user}{room}/account_data/{escaped(data_type)}")

    async def devices(self) -> list[JsonObject]:
        """Return the devices of the account."""
        devices: list[JsonObject] = (await self.request("GET", "/devices"))["devices"]
        return devices

    async def set_display_name(self, name: str) -> None:
        """Change the display name."""
        path = f"/profile/{escaped(self.user_id)}/displayname"
        await self.request("PUT", path, {"displayname": name})

    async def _on_room(self, room_id: str, action: str, body: Mapping[str, Any]) -> None:
        await self.request("POST", f"/rooms/{escaped(room_id)}/{action}", body)

"""Stores the events that a session has received, in their order, and waits for more.

Waiting is long-polling: the homeserver responds as soon as there is an event, so nothing here sleeps.
"""

from collections.abc import Callable, Iterator
from typing import Any

import anyio

from sandbox.errors import WaitTimeout
from sandbox.http import JsonObject
from sandbox.room_event import RoomEvent
from sandbox.session import MatrixSession, escaped

_LONGEST_POLL_MS = 20_000
_FILTER = '{"presence":{"types":[]},"room":{"timeline":{"limit":100}}}'
_SHOWN_IN_ERRORS = 10


class EventStream:
    """The events that one session has received; several tasks may wait at once."""

    def __init__(self, session: MatrixSession) -> None:
        self.seen: list[RoomEvent] = []
        self.invitations: dict[str, str] = {}  # room id → who invited
        self._session = session
        self._since: str | None = None
        self._syncing = anyio.Lock()

    async def wait_for(
        self, predicate: Callable[[RoomEvent], bool], timeout_s: float = 30.0
    ) -> RoomEvent:
        """Wait for an event that the predicate accepts; return the first one, received or future.

        Raises:
            WaitTimeout: there was none in time.
        """
        checked = 0
        with anyio.move_on_after(timeout_s):
            while True:
                for event in self.seen[checked:]:
                    if predicate(event):
                        return event
                    checked += 1
                async with self._syncing:
                    # Another task may have synced in between.
                    if checked == len(self.seen):
                        await self._sync(_LONGEST_POLL_MS)
        last = "".join(f"\n  {event}" for event in self.seen[-_SHOWN_IN_ERRORS:])
        raise WaitTimeout(
            f"{self._session.user_id} waited {timeout_s} s without a match; last events:{last or ' none'}"
        )

    async def catch_up(self) -> None:
        """Receive the events up to now; do not wait for more."""
        async with self._syncing:
            await self._sync(0)

    async def _sync(self, timeout_ms: int) -> None:
        params = {"timeout": str(timeout_ms), "filter": _FILTER}
        if self._since is not None:
            params["since"] = self._since
        response = await self._session.request(
            "GET", "/sync", params=params, timeout_s=timeout_ms / 1000 + 60
        )
        rooms: dict[str, dict[str, JsonObject]] = response.get("rooms", {})
        fresh: list[RoomEvent] = []
        for room_id, room in rooms.get("join", {}).items():
            fresh += await self._missed(room_id, room.get("timeline", {}))
            fresh += _events(room_id, room, "timeline")
            fresh += _events(room_id, room, "ephemeral")
            self.invitations.pop(room_id, None)
        for room_id, room in rooms.get("leave", {}).items():
            fresh += _events(room_id, room, "timeline")
            self.invitations.pop(room_id, None)
        for room_id, room in rooms.get("invite", {}).items():
            for event in _events(room_id, room, "invite_state"):
                if event.state_key == self._session.user_id:
                    self.invitations[room_id] = event.sender
                    fresh.append(event)
        # Only now, so that a cancelled sync loses nothing.
        self.seen += fresh
        self._since = response["next_batch"]

    async def _missed(self, room_id: str, timeline: JsonObject) -> list[RoomEvent]:
        """Return the events that a `limited` timeline left out since the last sync, oldest first."""
        if self._since is None or not timeline.get("limited"):
            return []
        return await history(self._session, room_id, start=self._since, stop=timeline["prev_batch"])


async def history(
    session: MatrixSession, room_id: str, *, start: str | None = None, stop: str | None = None
) -> list[RoomEvent]:
    """Return a room's events between two sync tokens, oldest first; all by default."""
    events: list[RoomEvent] = []
    params = {"dir": "f", "limit": "500"}
    if stop is not None:
        params["to"] = stop
    while True:
        if start is not None:
            params["from"] = start
        page = await session.request("GET", f"/rooms/{escaped(room_id)}/messages", params=params)
        events += [RoomEvent.of(room_id, raw) for raw in page["chunk"]]
        start = page.get("end")
        if start is None or not page["chunk"]:
            return events


def _events(room_id: str, room: dict[str, Any], part: str) -> Iterator[RoomEvent]:
    for raw in room.get(part, {}).get("events", []):
        yield RoomEvent.of(room_id, raw)

"""Starts the homeserver in memory as a process, and calls its control endpoints."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

import aiohttp
import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from sandbox.errors import SandboxError
from sandbox.http import JsonObject, request_json

_START_TIMEOUT_S = 20.0


class MemoryHomeserver:
    """An async context manager around the process; `url` is where a bot finds it."""

    def __init__(self, *, server_name: str = "localhost", put_delay_ms: float = 0.0) -> None:
        self.url = ""
        self._arguments = [
            "--until-stdin-closes",
            f"--server-name={server_name}",
            f"--put-delay-ms={put_delay_ms}",
        ]
        self._process: anyio.abc.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._process = await anyio.open_process(
            [sys.executable, "-m", "tests.support.memory_homeserver", *self._arguments],
            stdin=subprocess.PIPE,
            stderr=None,
            start_new_session=True,
        )
        try:
            assert self._process.stdout is not None
            with anyio.fail_after(_START_TIMEOUT_S):
                line = await BufferedByteReceiveStream(self._process.stdout).receive_until(
                    b"\n", 1000
                )
            self.url = json.loads(line)["url"]
            self._http = aiohttp.ClientSession()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._http is not None:
                await self._http.close()
                self._http = None
            if self._process is not None:
                self._process.kill()
                await self._process.wait()
                await self._process.aclose()
                self._process = None

    async def populate(self, bot: str, *, users: int, chats: int = 1) -> list[JsonObject]:
        """Create users with a Space and chats; return the `user_id`, `space_id` and `rooms` of each."""
        answer = await self._control("populate", bot=bot, users=users, chats=chats)
        created: list[JsonObject] = answer["users"]
        return created

    async def inject(
        self, messages: int, *, rooms: int = 0, first: int = 0, body_bytes: int = 20
    ) -> None:
        """Send so many messages of the owners at once, in `rooms` chats (0: all) from the `first` on."""
        await self._control(
            "inject", messages=messages, rooms=rooms, first=first, body_bytes=body_bytes
        )

    async def fork(self, room_id: str, sender: str) -> None:
        """Let the room's next state event and what `sender` sends next after it be sent at the same time.

        Until the next event in the room, a full-state sync misses that state event (design fact 19).
        """
        await self._control("fork", room_id=room_id, sender=sender)

    async def wait_finished(
        self, count: int, timeout_s: float = 60.0, *, since: int = 0
    ) -> JsonObject:
        """Wait until that many messages have their whole reply; return the numbers either way.

        The times are those of the messages from number `since` on, counted from the last reset.
        """
        return await self._control("wait", finished=count, timeout_s=timeout_s, since=since)

    async def stats(self, *, rooms: bool = False) -> JsonObject:
        """Return what was counted since the last reset."""
        return await self._control("stats", rooms=rooms)

    async def reset(self) -> None:
        """Set the counters back; users and rooms stay."""
        await self._control("reset")

    async def _control(self, action: str, **request: Any) -> JsonObject:
        if self._http is None:
            raise SandboxError("the homeserver is not running")
        url = f"{self.url}/_bench/{action}"
        timeout_s = request.get("timeout_s", 0.0) + 300.0
        answer: JsonObject = await request_json(
            self._http, "POST", url, request, timeout_s=timeout_s
        )
        return answer

"""The control endpoints under `/_bench/`: they create users with chats, send their messages, and measure the replies.

All times are of this process's clock: from the moment a message is in the log to the moment its reply has been read
from the connection.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.room_event import ANSWERS
from tests.support.content_keys import BINDING, PARTIAL
from tests.support.memory_homeserver.homeserver import Homeserver
from tests.support.memory_homeserver.rooms import JsonObject, Room

_ONLY_THE_BOT_INVITES = {"invite": 100, "state_default": 100}


@dataclass(slots=True)
class Injected:
    """One message of an owner and its replies; times in seconds of a monotonic clock."""

    number: int
    room_id: str
    at: float
    first_reply_at: float | None = None
    finished_at: float | None = None
    replies: int = 0


@dataclass(slots=True)
class _Counters:
    injected: dict[str, Injected] = field(default_factory=dict)
    puts: int = 0
    repeated_puts: int = 0
    edits: int = 0
    wrong_room: int = 0
    out_of_order: int = 0
    newest_answered: dict[str, int] = field(default_factory=dict)
    finished: int = 0


class Bench:
    """Has the chats with their owners, and counts the owners' messages and the replies to them."""

    def __init__(self, server: Homeserver) -> None:
        self._server = server
        self._chats: list[tuple[Room, str]] = []
        self._counters = _Counters()
        self._progress = asyncio.Event()

    async def answer(self, action: str, request: JsonObject) -> JsonObject:
        """Carry out one control request.

        `populate` {bot, users, chats = 1} · `inject` {messages, rooms = all, first = 0, body_bytes = 20} ·
        `fork` {room_id, sender}, which lets the room's next state event and what the sender sends next after it
        be sent at the same time (`Homeserver.fork`) ·
        `stats` {rooms = false, since = 0} · `wait` {finished, timeout_s = 60, since = 0}, which answers
        like `stats` when that many messages have their whole reply · `reset`, of the counters only.
        """
        match action:
            case "populate":
                return self.populate(request["bot"], request["users"], request.get("chats", 1))
            case "inject":
                first = request.get("first", 0)
                rooms = request.get("rooms") or len(self._chats) - first
                body_bytes = request.get("body_bytes", 20)
                return self.inject(request["messages"], rooms, first, body_bytes)
            case "fork":
                self._server.fork(self._server.room(request["room_id"]), request["sender"])
            case "wait":
                await self._wait(request["finished"], request.get("timeout_s", 60.0))
            case "reset":
                self._counters = _Counters()
            case "stats":
                pass
            case _:
                raise ValueError(f"no such action: {action}")
        return self.stats(rooms=request.get("rooms", False), since=request.get("since", 0))

    def populate(self, bot: str, users: int, chats: int) -> JsonObject:
        """Create users with a Space and chats each, exactly as the bot creates them."""
        fresh: list[JsonObject] = []
        platform_chat_id = len(self._chats)
        for n in range(users):
            owner = f"@user{len(self._chats)}-{n}:{self._server.server_name}"
            space = self._bots_room(
                bot, owner, name=f"Lambda — {owner}", creation_content={"type": "m.space"}
            )
            self._bind(bot, owner, space, space, {"room_type": "space", "space_id": None})
            rooms: list[str] = []
            for number in range(1, chats + 1):
                platform_chat_id += 1
                chat = self._bots_room(bot, owner, name=f"Chat {number}")
                via = {"via": [self._server.server_name]}
                self._server.send(space, bot, "m.space.child", via, chat.room_id)
                parent = via | {"canonical": True}
                self._server.send(chat, bot, "m.space.parent", parent, space.room_id)
                binding = {
                    "room_type": "chat",
                    "chat_id": f"C{number}",
                    "platform_chat_id": str(platform_chat_id),
                    "agent_id": "default",
                }
                self._bind(bot, owner, space, chat, binding)
                self._chats.append((chat, owner))
                rooms.append(chat.room_id)
            fresh.append({"user_id": owner, "space_id": space.room_id, "rooms": rooms})
        return {"users": fresh}

    def inject(self, messages: int, rooms: int, first: int, body_bytes: int) -> JsonObject:
        """Send `messages` messages at once, by the owners of `rooms` chats from the `first` on, in turn.

        The next call goes on with the next chat.
        """
        already_injected = len(self._counters.injected)
        for n in range(already_injected, already_injected + messages):
            room, owner = self._chats[first + n % rooms]
            body = f"message {n} ".ljust(body_bytes, "x")
            content = {"msgtype": "m.text", "body": body, "m.mentions": {}}
            event = self._server.send(room, owner, "m.room.message", content)
            self._counters.injected[event.event_id] = Injected(n, room.room_id, time.perf_counter())
        return {"injected": messages}

    def count(self, room_id: str, content: JsonObject, *, is_new: bool) -> None:
        """Count a message that was sent with a `PUT`."""
        counters = self._counters
        counters.puts += 1
        if not is_new:
            counters.repeated_puts += 1
            return
        new_content = content.get("m.new_content", content)
        answers = content.get(ANSWERS) or new_content.get(ANSWERS)
        message = counters.injected.get(answers) if answers else None
        if message is None:
            return
        if message.room_id != room_id:
            counters.wrong_room += 1
            return
        now = time.perf_counter()
        if content.get("m.relates_to", {}).get("rel_type") == "m.replace":
            counters.edits += 1
        else:
            message.replies += 1
            newest = counters.newest_answered.get(room_id, -1)
            counters.out_of_order += message.number < newest
            counters.newest_answered[room_id] = max(newest, message.number)
            message.first_reply_at = message.first_reply_at or now
        if message.finished_at is None and not new_content.get(PARTIAL):
            message.finished_at = now
            counters.finished += 1
            self._progress.set()

    def stats(self, *, rooms: bool = False, since: int = 0) -> JsonObject:
        """Sum up the replies since the last reset; `rooms` adds the number of replies of each room.

        The times are those of the messages from number `since` on.
        """
        counters = self._counters
        injected = list(counters.injected.values())
        answered = [m for m in injected if m.first_reply_at is not None]
        timed = injected[since:]
        first = [m.first_reply_at - m.at for m in timed if m.first_reply_at is not None]
        whole = [m.finished_at - m.at for m in timed if m.finished_at is not None]
        summary: dict[str, Any] = {
            "injected": len(injected),
            "answered": len(answered),
            "finished": counters.finished,
            "more_than_one_reply": sum(m.replies > 1 for m in injected),
            "wrong_room": counters.wrong_room,
            "out_of_order": counters.out_of_order,
            "puts": counters.puts,
            "repeated_puts": counters.repeated_puts,
            "edits": counters.edits,
            "first_reply_ms": _percentiles(first),
            "finished_ms": _percentiles(whole),
        }
        if whole:
            end = max(m.finished_at for m in timed if m.finished_at is not None)
            summary["seconds"] = end - min(m.at for m in timed)
            summary["finished_per_s"] = len(whole) / summary["seconds"]
        if rooms:
            by_room: dict[str, int] = {}
            for message in injected:
                by_room[message.room_id] = by_room.get(message.room_id, 0) + message.replies
            summary["rooms"] = by_room
        return summary

    async def _wait(self, finished: int, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while self._counters.finished < finished:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass  # the statistics have the number of finished messages

    def _bots_room(self, bot: str, owner: str, **options: Any) -> Room:
        request = {
            "invite": [owner],
            "power_level_content_override": _ONLY_THE_BOT_INVITES,
            **options,
        }
        room = self._server.create_room(bot, request)
        self._server.set_membership(room, owner, owner, "join")
        return room

    def _bind(self, bot: str, owner: str, space: Room, room: Room, fields: JsonObject) -> None:
        """Store the binding of a room as the bot does, in its account data (contract R4)."""
        binding = {
            "chat_id": None,
            "platform_chat_id": None,
            "agent_id": None,
            "matrix_user_id": owner,
            "space_id": space.room_id,
            "archived": False,
            **fields,
        }
        self._server.set_account_data(bot, room.room_id, BINDING, binding)


def _percentiles(seconds: list[float]) -> JsonObject:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        f"p{percent}": round(ordered[round(last * percent / 100)] * 1000, 3)
        for percent in (50, 95, 99, 100)
    }

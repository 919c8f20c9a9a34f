"""The same starts as in `start`, on a real Synapse: which is slower to fill: only by name, with 300 chats.

The chats are created as the bot creates them, with bindings; most owners have not joined yet.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from sandbox.session import MatrixSession, escaped
from sandbox.synapse import Synapse
from tests.bench.bots import INSTANT, NIO, PASSWORD, Kind, daemon_of
from tests.bench.figures import Comparison, Figure
from tests.bench.resources import peak_rss_mib
from tests.support.matrix_user import MatrixUser

TITLE = "Start to first answered message, on Synapse"
_USERS = 30
_CHATS_A_USER = 10
_CHATS = _USERS * _CHATS_A_USER
_AT_ONCE = 4
_TIMEOUT_S = 120.0


def measure() -> Iterator[Figure]:
    """Start both bots, cold and warm."""
    ours, nio = anyio.run(_measured)
    for number, name in enumerate((f"cold, {_CHATS} chats", "warm")):
        beside = (Comparison(NIO.name, nio[number][0]),)
        yield Figure(name, ours[number][0], "s", beside)
    beside = (Comparison(NIO.name, max(peak for _, peak in nio)),)
    yield Figure("peak memory", max(peak for _, peak in ours), "MiB", beside)


async def _measured() -> list[list[tuple[float, float]]]:
    async with Synapse() as homeserver:
        bot_id = await homeserver.register("bot", PASSWORD)
        owners = [await homeserver.register(f"user{n}", PASSWORD) for n in range(_USERS)]
        async with MatrixSession(homeserver.url, bot_id, PASSWORD) as bot:
            chat = await _populate(bot, owners)
        async with MatrixUser(homeserver.url, owners[0], PASSWORD) as owner:
            await owner.join(chat)
            return [await _starts(kind, homeserver.url, owner, chat) for kind in (INSTANT, NIO)]


async def _starts(kind: Kind, url: str, owner: MatrixUser, chat: str) -> list[tuple[float, float]]:
    starts = []
    with TemporaryDirectory() as name:
        bot = daemon_of(kind, url, Path(name))
        for _ in ("cold", "warm"):
            began = time.perf_counter()
            async with bot:
                await bot.wait_live(_TIMEOUT_S)
                await _answered(owner, chat)
                starts.append((time.perf_counter() - began, peak_rss_mib(bot.pid)))
                await bot.stop()
    return starts


async def _answered(owner: MatrixUser, chat: str) -> None:
    reply_to = await owner.send_text(chat, "Hello")
    await owner.wait_for(lambda event: event.answers == reply_to)


async def _populate(bot: MatrixSession, owners: list[str]) -> str:
    """Create a Space with chats for each owner; return the first owner's first chat."""
    chats: dict[int, str] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def create_for(index: int) -> None:
        async with limit:
            chats[index] = await _create_rooms(bot, owners[index], index * _CHATS_A_USER)

    async with anyio.create_task_group() as group:
        for index in range(len(owners)):
            group.start_soon(create_for, index)
    return chats[0]


async def _create_rooms(bot: MatrixSession, owner: str, highest_chat_id: int) -> str:
    """Create one owner's rooms; `highest_chat_id` is the highest platform_chat_id so far."""
    space = await _room(bot, owner, f"Lambda — {owner}", {"type": "m.space"})
    await _bind(bot, owner, space, {"room_type": "space"})
    rooms = []
    for number in range(1, _CHATS_A_USER + 1):
        chat = await _room(bot, owner, f"Chat {number}", {})
        path = f"/rooms/{escaped(space)}/state/m.space.child/{escaped(chat)}"
        await bot.request("PUT", path, {"via": ["localhost"]})
        fields = {
            "room_type": "chat",
            "chat_id": f"C{number}",
            "platform_chat_id": str(highest_chat_id + number),
            "agent_id": "default",
            "space_id": space,
        }
        await _bind(bot, owner, chat, fields)
        rooms.append(chat)
    return rooms[0]


async def _room(bot: MatrixSession, owner: str, name: str, creation: dict[str, str]) -> str:
    room = {
        "preset": "private_chat",
        "name": name,
        "invite": [owner],
        "creation_content": creation,
    }
    room_id: str = (await bot.request("POST", "/createRoom", room))["room_id"]
    return room_id


async def _bind(bot: MatrixSession, owner: str, room_id: str, fields: dict[str, str]) -> None:
    unknown = dict.fromkeys(("chat_id", "platform_chat_id", "agent_id", "space_id"))
    binding = {**unknown, "matrix_user_id": owner, "archived": False, **fields}
    user, room = escaped(bot.user_id), escaped(room_id)
    path = f"/user/{user}/rooms/{room}/account_data/org.lambda.surfaces.room"
    await bot.request("PUT", path, binding)

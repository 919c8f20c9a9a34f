"""The latency of other rooms while one room is flooded (contracts D11, D14).

From the start of the flood there are a hundred messages a second in two hundred other rooms. The latency is from a
message to the first event of its reply, in the other rooms only. A flood of 500 messages that are answered is compared
with no flood, and with a bot that handles one message at a time. A flood of 30 000, a thousand a
second, goes to a room where nothing can be answered: its agent sends nothing, or no Space links it any more.
"""

from collections.abc import Iterator, Mapping

import aiohttp
import anyio

from sandbox.http import JsonObject, request_json
from tests.bench.bots import BOT, INSTANT, NIO, PASSWORD, Kind, check, running
from tests.bench.figures import Comparison, Figure, Goal
from tests.bench.instant_daemon import MUTE_CONTEXT
from tests.support.memory_homeserver.process import MemoryHomeserver

TITLE = "Flood: 500 at once, or 30 000 unanswered, in one room, 100/s in 200 others"
_FLOOD = 500
_FLOOD_PER_S = 1_000
_GREAT_FLOOD = 30_000
_OTHERS = 200
_PER_S = 100
_MESSAGES = 300
_WITHOUT = "without the flood"
_PERCENTILES = ("p50", "p99", "p100")


def measure() -> Iterator[Figure]:
    """Measure both bots with a flood, and ours also without."""
    ours = anyio.run(_first_replies, INSTANT, _FLOOD)
    without = anyio.run(_first_replies, INSTANT, 0)
    nio = anyio.run(_first_replies, NIO, _FLOOD)
    goals = {"p99": Goal("at most", 500.0)}
    for key in _PERCENTILES:
        beside = (Comparison(_WITHOUT, without[key]), Comparison(NIO.name, nio[key]))
        yield Figure(f"in the others, {key}", ours[key], "ms", beside, goals.get(key))
    for name, why in (("a mute agent", "mute"), ("a failed room", "failed")):
        first_replies = anyio.run(_unanswered_flood, why, _GREAT_FLOOD)
        without = anyio.run(_unanswered_flood, why, 0)
        for key in _PERCENTILES:
            what = f"30 000 behind {name}, in the others, {key}"
            yield Figure(
                what,
                first_replies[key],
                "ms",
                (Comparison(_WITHOUT, without[key]),),
                goals.get(key),
            )


async def _first_replies(kind: Kind, flood: int) -> dict[str, float]:
    async with MemoryHomeserver() as homeserver:
        await homeserver.populate(BOT, users=1 + _OTHERS)
        async with running(kind, homeserver):
            await homeserver.inject(1 + _OTHERS)
            await homeserver.wait_finished(1 + _OTHERS)
            await homeserver.reset()
            if flood:
                await homeserver.inject(flood, rooms=1)
            started = anyio.current_time()
            for number in range(_MESSAGES):
                await anyio.sleep_until(started + number / _PER_S)
                await homeserver.inject(1, first=1)
            return await _times(homeserver, kind, flood + _MESSAGES, since=flood)


async def _unanswered_flood(why: str, flood: int) -> dict[str, float]:
    """Flood a room that can't answer, and send messages in the others during the flood and after it."""
    environment: Mapping[str, str] = {"AGENT_RETRY_S": "3600"}
    async with MemoryHomeserver() as homeserver:
        (flooded, *_) = await homeserver.populate(BOT, users=1 + _OTHERS)
        if why == "failed":
            await _unlink(homeserver, flooded)
        else:
            environment = {**environment, MUTE_CONTEXT: "1"}
        async with running(INSTANT, homeserver, environment):
            await homeserver.inject(1 + _OTHERS)
            await homeserver.wait_finished(_OTHERS)
            await homeserver.reset()
            started = anyio.current_time()
            messages = _GREAT_FLOOD * _PER_S // _FLOOD_PER_S
            for number in range(messages):
                await anyio.sleep_until(started + number / _PER_S)
                if flood:
                    await homeserver.inject(flood // messages, rooms=1)
                await homeserver.inject(1, first=1)
            return await _times(homeserver, INSTANT, messages)


async def _times(
    homeserver: MemoryHomeserver, kind: Kind, answered: int, since: int = 0
) -> dict[str, float]:
    """Wait for so many replies; return the latencies of their first events."""
    stats = await homeserver.wait_finished(answered, 120.0, since=since)
    check(kind, stats, answered)
    measured: dict[str, float] = stats["first_reply_ms"]
    return measured


async def _unlink(homeserver: MemoryHomeserver, user: JsonObject) -> None:
    """Remove a user's chat from their Space, so that the bot can't recognize it."""
    login = {"type": "m.login.password", "user": BOT, "password": PASSWORD}
    client = f"{homeserver.url}/_matrix/client/v3"
    async with aiohttp.ClientSession() as session:
        answer = await request_json(session, "POST", f"{client}/login", login)
        (room_id,) = user["rooms"]
        link = f"{client}/rooms/{user['space_id']}/state/m.space.child/{room_id}"
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        await request_json(session, "PUT", link, {}, headers=bearer)

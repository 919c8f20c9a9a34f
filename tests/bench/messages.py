"""Messages a second from the bytes of a sync response to the reply's committed outbox row.

This includes all of the runtime from decoding to the second commit; agent and homeserver answer at once. The floor
only parses the response, stores its events and token in one transaction, and the replies in another.
"""

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from cli.logs import set_up_logs
from store import Journal
from store.database import open_database
from tests.bench.doubles import InstantHomeserver, chats, make_bot, message_syncs
from tests.bench.figures import BenchFailed, Comparison, Figure, Goal

TITLE = "From raw sync response to committed outbox row"
_MESSAGES = 10_000
_ROOMS = 50
_A_SYNC = 100
_GOAL = Goal("at least", 5_000)
_FLOOR = "JSON and two commits (floor)"


def measure() -> Iterator[Figure]:
    """Measure raw responses through the runtime, and through two transactions."""
    responses = list(message_syncs(_ROOMS, _MESSAGES, _A_SYNC))
    set_up_logs("json", "error")
    with TemporaryDirectory() as name:
        began = time.process_time()
        ours = anyio.run(_through_the_runtime, Path(name) / "runtime.db", responses)
        ours_ms = (time.process_time() - began) / _MESSAGES * 1000
        began = time.process_time()
        floor = _bare(Path(name) / "bare.db", responses)
        floor_ms = (time.process_time() - began) / _MESSAGES * 1000
    beside = (Comparison(_FLOOR, floor),)
    yield Figure(f"messages, {_A_SYNC} a sync, {_ROOMS} rooms", ours, "/s", beside, _GOAL)
    # This is comparable also on a busy machine.
    yield Figure("processor time a message", ours_ms, "ms", (Comparison(_FLOOR, floor_ms),))


async def _through_the_runtime(path: Path, responses: Sequence[bytes]) -> float:
    homeserver = InstantHomeserver(chats(_ROOMS), responses, expected=_MESSAGES)
    database = await open_database(path)
    try:
        bot = make_bot(homeserver, Journal(database))
        async with anyio.create_task_group() as group:
            group.start_soon(bot.run)
            await homeserver.began.wait()
            began = time.perf_counter()
            with anyio.move_on_after(60.0):
                await homeserver.all_sent.wait()
            seconds = time.perf_counter() - began
            bot.stop()
    finally:
        await database.close()
    _check(homeserver.sent)
    return _MESSAGES / seconds


def _check(sent: Sequence[tuple[str, str]]) -> None:
    """Each message has one reply, and each room its replies in order."""
    by_room: defaultdict[str, list[str]] = defaultdict(list)
    for room_id, answered in sent:
        by_room[room_id].append(answered)
    if len({answered for _, answered in sent}) != len(sent) or len(sent) != _MESSAGES:
        raise BenchFailed(f"{len(sent)} replies to {_MESSAGES} messages")
    if any(answers != sorted(answers) for answers in by_room.values()):
        raise BenchFailed("replies came out of order")


def _bare(path: Path, responses: Sequence[bytes]) -> float:
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    schema = "(seq INTEGER PRIMARY KEY, room TEXT, id TEXT UNIQUE, payload TEXT)"
    raw.execute(f"CREATE TABLE inbox {schema}")
    raw.execute(f"CREATE TABLE outbox {schema}")
    raw.execute("CREATE TABLE bot (sync_token TEXT)")
    began = time.perf_counter()
    for response in responses:
        body = json.loads(response)
        rows = [
            (room_id, event["event_id"], json.dumps(event["content"]))
            for room_id, room in body["rooms"]["join"].items()
            for event in room["timeline"]["events"]
        ]
        for table in ("inbox", "outbox"):
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(f"INSERT INTO {table} (room, id, payload) VALUES (?, ?, ?)", rows)
            raw.execute("UPDATE bot SET sync_token = ?", (body["next_batch"],))
            raw.execute("COMMIT")
    seconds = time.perf_counter() - began
    raw.close()
    return _MESSAGES / seconds

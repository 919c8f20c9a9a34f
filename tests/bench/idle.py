"""The cost of idle rooms: memory and tasks of the runtime, in a separate process.

All rooms are in the database and were reconciled at the start. Each room then gets a change of membership, some get a
message that is answered, and all become idle. The figures are what remains, compared with the same process with one
room. The memory of the `matrix` package is measured in `start`.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from cli.logs import set_up_logs
from store import Journal
from store.database import open_database
from tests.bench.bots import CHECKOUT
from tests.bench.doubles import InstantHomeserver, chats, make_bot, membership_syncs, message_syncs
from tests.bench.figures import BenchFailed, Comparison, Figure, Goal
from tests.bench.resources import peak_rss_mib, rss_mib

TITLE = "Idle rooms"
_ROOMS = 100_000
_MESSAGES = 5_000
_A_SYNC = 1_000
_RESTING_S = 2.5
"""Read markers are sent at most a second later, and idle workers exit within two."""
_MEMORY_GOAL = Goal("at most", 50.0)
_NO_TASKS = Goal("at most", 0)


def measure() -> Iterator[Figure]:
    """Run the same process with one room and with many."""
    few, many = _idle_process(1), _idle_process(_ROOMS)
    beside = (Comparison("the process with one room", few["rss_mib"]),)
    added = many["rss_mib"] - few["rss_mib"]
    what = f"memory added by {_ROOMS // 1000} 000 idle rooms"
    yield Figure(what, added, "MiB", beside, _MEMORY_GOAL)
    yield Figure("tasks added by them", max(0, many["tasks"] - few["tasks"]), "", (), _NO_TASKS)
    yield Figure("most memory at their start", many["peak_mib"], "MiB")


def _idle_process(rooms: int) -> dict[str, float]:
    """Return the figures of a second start with that many rooms; the first one fills the database."""
    with TemporaryDirectory() as name:
        _run("first", rooms, name)
        figures: dict[str, float] = json.loads(_run("second", rooms, name))
    return figures


def _run(number: str, rooms: int, directory: str) -> str:
    command = [sys.executable, "-m", "tests.bench.idle", number, str(rooms)]
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"PYTHONPATH": CHECKOUT},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        stderr = done.stderr[-500:]
        raise BenchFailed(f"the {number} start with {rooms} rooms ended badly: {stderr}")
    return done.stdout


async def _first_start(rooms: int) -> None:
    homeserver = InstantHomeserver(chats(rooms))
    database = await open_database(Path("idle.db"))
    try:
        bot = make_bot(homeserver, Journal(database))
        async with anyio.create_task_group() as group:
            group.start_soon(bot.run)
            await homeserver.began.wait()
            bot.stop()
    finally:
        await database.close()


async def _second_start(rooms: int) -> dict[str, float]:
    messages = min(rooms, _MESSAGES)
    responses = chain(membership_syncs(rooms, _A_SYNC), message_syncs(rooms, messages, _A_SYNC))
    homeserver = InstantHomeserver(chats(rooms), responses, expected=messages)
    database = await open_database(Path("idle.db"))
    try:
        bot = make_bot(homeserver, Journal(database))
        async with anyio.create_task_group() as group:
            group.start_soon(bot.run)
            with anyio.fail_after(300.0):
                await homeserver.all_sent.wait()
            await anyio.sleep(_RESTING_S)
            gc.collect()
            figures = {
                "rss_mib": rss_mib(),
                "peak_mib": peak_rss_mib(),
                "tasks": float(len(asyncio.all_tasks())),
            }
            bot.stop()
    finally:
        await database.close()
    return figures


def main() -> None:
    """Run one start in the directory of the database; the second prints its figures."""
    set_up_logs("json", "error")
    number, rooms = sys.argv[1], int(sys.argv[2])
    if number == "first":
        anyio.run(_first_start, rooms)
    else:
        print(json.dumps(anyio.run(_second_start, rooms)))


if __name__ == "__main__":
    main()

"""The bots that run against a homeserver in memory, and the check of their results."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sandbox.daemon import Daemon
from tests.bench.figures import BenchFailed
from tests.support.memory_homeserver.process import MemoryHomeserver

BOT = "@bot:localhost"
PASSWORD = "a password of no importance"
TIMELINE_LIMIT = 1_000
CHECKOUT = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class Kind:
    """One program to measure; with `full_guarantee` its results must keep contract D1."""

    name: str
    program: tuple[str, ...]
    full_guarantee: bool = True


DAEMON = Kind("the daemon", ("-m", "cli", "run"))
INSTANT = Kind("the daemon, agent in process", ("-m", "tests.bench.instant_daemon"))
NIO = Kind("bare nio bot", ("-m", "tests.bench.nio_echo"), full_guarantee=False)


@asynccontextmanager
async def running(
    kind: Kind, homeserver: MemoryHomeserver, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Daemon]:
    """Run a bot that is live, in a directory that is removed afterwards."""
    with TemporaryDirectory() as name:
        daemon = daemon_of(kind, homeserver.url, Path(name), environment)
        async with daemon:
            await daemon.wait_live(60.0)
            yield daemon


def daemon_of(
    kind: Kind, url: str, directory: Path, environment: Mapping[str, str] | None = None
) -> Daemon:
    """Return a bot that has not been started yet; it runs the code of this checkout."""
    settings = {
        "MATRIX_HOMESERVER": url,
        "MATRIX_USER_ID": BOT,  # Synapse in the sandbox has the same server name
        "MATRIX_PASSWORD": PASSWORD,
        "PYTHONPATH": CHECKOUT,
    }
    return Daemon(directory, settings | dict(environment or {}), kind.program)


def check(kind: Kind, stats: Mapping[str, Any], messages: int) -> None:
    """Check that a bot has answered each message once, in its room, in order.

    Raises:
        BenchFailed: it has not.
    """
    wrong = {"answered": messages - stats["answered"]}
    if kind.full_guarantee:
        keys = ("more_than_one_reply", "wrong_room", "out_of_order", "repeated_puts")
        wrong |= {key: stats[key] for key in keys}
    faults = {key: count for key, count in wrong.items() if count}
    if faults:
        raise BenchFailed(f"{kind.name}, {messages} messages: {faults} should be 0")

"""`python -m tests.soak.failpoints`: kill the daemon at every boundary of one conversation, and check the result.

A boundary is the moment before or after a durable write or a request. The conversation is repeated for each boundary,
and for pairs of them: a second kill during the recovery from the first. The homeserver is in memory, so that all
runs take minutes.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from sandbox.errors import SandboxError
from tests.soak.failpoint_conversation import Transcript, faults_in, run_conversation, script
from tests.soak.failpoint_process import DIED, FailpointDaemon
from tests.soak.soak_fixture import print_line
from tests.support.agent_server import AgentServer
from tests.support.matrix_user import MatrixUser
from tests.support.memory_homeserver.process import MemoryHomeserver

AT_ONCE = 10
SECOND_DEATHS_WITHIN = 40
"""About the number of boundaries that a process passes during recovery."""
_REPORTS = 10
_BEYOND = 4
"""A run may pass a few boundaries more than another, because events are batched differently."""

Deaths = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one run: the boundaries where the daemon was killed, and the faults found afterwards."""

    deaths: Deaths
    died_at: tuple[str, ...]
    passed: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return f"killed at {self.deaths} ({'; '.join(self.died_at)}): {'; '.join(self.faults)}"


def main() -> None:
    """Kill the daemon at every boundary of one conversation; exit 0 only when each run ends without faults."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak.failpoints", description=main.__doc__
    )
    parser.add_argument(
        "--pairs", type=int, default=200, help="number of runs with two kills (200)"
    )
    parser.add_argument("--seed", type=int, default=1, help="draws the pairs (1)")
    parser.add_argument("--at", type=int, nargs="+", help="only one run: its kills, in order")
    options = parser.parse_args()
    began = time.monotonic()
    if options.at:
        outcomes = anyio.run(run_all, [tuple(options.at)])
    else:
        outcomes = anyio.run(partial(run_everything, options.pairs, options.seed))
    bad = [outcome for outcome in outcomes if outcome.faults]
    missed = [outcome for outcome in outcomes if len(outcome.died_at) < len(outcome.deaths)]
    for outcome in bad:
        print_line(f"  {outcome}")
    print_line(
        f"{len(outcomes)} runs, {len(bad)} with faults, {len(missed)} that ended before their"
        f" last kill; {time.monotonic() - began:.0f} s"
    )
    sys.exit(1 if bad else 0)


async def run_everything(pairs: int, seed: int) -> list[Outcome]:
    """Run each single kill, and so many pairs of kills."""
    (undisturbed,) = await run_all([()])
    boundaries = undisturbed.passed
    print_line(f"an undisturbed run passes {boundaries} boundaries")
    singles: list[Deaths] = [(number,) for number in range(1, boundaries + _BEYOND + 1)]
    rng = random.Random(seed)
    doubles: list[Deaths] = [
        (rng.randint(1, boundaries), rng.randint(1, SECOND_DEATHS_WITHIN)) for _ in range(pairs)
    ]
    return [undisturbed, *await run_all([*singles, *doubles], _progress)]


def _progress(done: int, runs: int) -> None:
    if done % max(1, runs // _REPORTS) == 0:
        print_line(f"{done:5} of {runs} runs")


def _no_progress(_: int, __: int) -> None:
    pass


async def run_all(
    runs: Sequence[Deaths], progress: Callable[[int, int], None] = _no_progress
) -> list[Outcome]:
    """Do these runs, a few at a time; `progress` gets the number of runs done and of all runs."""
    outcomes: list[Outcome] = []
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def run_one(homeserver: MemoryHomeserver, number: int, deaths: Deaths) -> None:
        async with limit:
            outcomes.append(await _run(homeserver, number, deaths))
        progress(len(outcomes), len(runs))

    async with MemoryHomeserver() as homeserver, anyio.create_task_group() as group:
        for number, deaths in enumerate(runs):
            group.start_soon(run_one, homeserver, number, deaths)
    return sorted(outcomes, key=lambda outcome: (len(outcome.deaths), outcome.deaths))


async def _run(homeserver: MemoryHomeserver, number: int, deaths: Deaths) -> Outcome:
    bot = f"@bot{number}:localhost"
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="failpoint-")))
        agent = await stack.enter_async_context(AgentServer(script))
        user = await stack.enter_async_context(MatrixUser(homeserver.url, f"ann{number}", "-"))
        daemon = FailpointDaemon(
            directory,
            {
                "MATRIX_HOMESERVER": homeserver.url,
                "MATRIX_USER_ID": bot,
                "MATRIX_PASSWORD": "-",
                "MATRIX_PLATFORM_BACKEND": "real",
                "AGENT_BASE_URL": agent.url,
            },
        )
        stack.callback(daemon.kill)
        died_at: list[str] = []
        faults: list[str] = []
        transcript: Transcript | None = None
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_restart_until_last, daemon, deaths, died_at)
                transcript = await run_conversation(user, bot)
                group.cancel_scope.cancel()
        except* (SandboxError, AssertionError) as failure:
            faults = [str(each) for each in failure.exceptions]
        code = await daemon.stop()
        if transcript is not None and not faults:
            faults = [] if code in (0, DIED) else [f"exit code {code}"]
            session = json.loads((directory / "matrix_store" / "session.json").read_text())
            witness = MatrixUser(homeserver.url, bot, access_token=session["access_token"])
            faults += await faults_in(
                transcript, user, await stack.enter_async_context(witness), agent
            )
        return Outcome(deaths, tuple(died_at), daemon.passed, tuple(faults))


async def _restart_until_last(daemon: FailpointDaemon, deaths: Deaths, died_at: list[str]) -> None:
    """Start the daemon once for each kill, and then without one.

    Raises:
        SandboxError: the daemon ended in another way.
    """
    for death in deaths:
        daemon.start(death)
        code = await daemon.wait_ended()
        if code != DIED:
            raise SandboxError(f"the daemon ended with {code}")
        died_at.append(daemon.boundary())
    daemon.start()
    raise SandboxError(f"the daemon ended by itself with {await daemon.wait_ended()}")


if __name__ == "__main__":
    main()

"""`python -m tests.soak --kills N [--seed S]`: run it, and print progress and result."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import anyio

from sandbox.errors import SandboxError
from sandbox.room_event import RoomEvent
from tests.soak.kills import KillRecord, SoakFailed, kill_again_and_again
from tests.soak.soak_fixture import SoakFixture, say, set_up
from tests.soak.traffic import Talk
from tests.soak.verdict import Verdict, first_signs, judge
from tests.support.matrix_user import MatrixUser
from tests.system.users import answer_to

SETTLED_AFTER_S = 180.0
_SHOWN = 10
_REPORTS = 10


def main() -> None:
    """Kill the daemon again and again under traffic; exit 0 only when nothing is lost, doubled or out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often the daemon is killed (20)")
    parser.add_argument("--seed", type=int, help="draw the moments as an earlier run did")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    say(f"seed {seed}; a seed draws the same moments, what happens in them is not the same")
    try:
        holds = anyio.run(partial(soak, options.kills, seed))
    except (SoakFailed, SandboxError) as failure:
        sys.exit(f"failed: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if holds else 1)


async def soak(kills: int, seed: int) -> bool:
    """Run once; return whether the three are 0."""
    chance = random.Random(seed)
    talk = Talk(random.Random(seed + 1))
    began = time.monotonic()
    say("starting a homeserver, the daemon and an agent; welcoming people …")
    async with set_up(talk.answer) as setup:
        say(f"{len(setup.rooms)} rooms are ready after {time.monotonic() - began:.0f} s")
        began = time.monotonic()

        def progress(record: KillRecord) -> None:
            if len(record.at) % max(1, kills // _REPORTS) == 0:
                say(
                    f"{len(record.at):5} of {kills} kills · {talk.sent} messages"
                    f" · {time.monotonic() - began:.0f} s"
                )

        async with anyio.create_task_group() as group:
            for number, (person, room) in enumerate(setup.rooms):
                group.start_soon(talk.catalog_for, person, room, str(number))
            record = await kill_again_and_again(setup, kills, chance, progress)
            talk.over.set()
        say("waiting for the last answers …")
        unanswered = await _settle(setup, talk)
        say("reading what the rooms show …")
        verdict, signs = await _read(setup, record)
        _tell(verdict, record, signs, time.monotonic() - began)
        _tell_log(setup)
        if unanswered:
            say(f"gave up waiting in {unanswered} rooms after {SETTLED_AFTER_S:.0f} s")
        await setup.daemon.stop()
    return verdict.holds


async def _settle(setup: SoakFixture, talk: Talk) -> int:
    """Wait until each room's last message is answered; return in how many rooms it is not."""
    waiting = len(setup.rooms)

    async def last_word(person: MatrixUser, room: str) -> None:
        nonlocal waiting
        await answer_to(person, room, await talk.say_last(person, room), SETTLED_AFTER_S)
        waiting -= 1

    with anyio.move_on_after(SETTLED_AFTER_S):
        async with anyio.create_task_group() as group:
            for person, room in setup.rooms:
                group.start_soon(last_word, person, room)
    return waiting


async def _read(setup: SoakFixture, record: KillRecord) -> tuple[Verdict, list[float]]:
    verdict = Verdict()
    everything: list[RoomEvent] = []
    for person, room in setup.rooms:
        events = await person.messages(room)
        verdict += judge(events, person.user_id, setup.bot)
        everything += events
    return verdict, first_signs(everything, setup.bot, record.at)


def _tell(verdict: Verdict, record: KillRecord, signs: Sequence[float], took_s: float) -> None:
    rows = (
        ("kills", f"{len(record.at)}, {record.young} of them before it was live"),
        ("homeserver kills", f"{record.homeservers}"),
        ("messages", f"{verdict.messages}"),
        ("replies", f"{verdict.replies}"),
        ("lost", f"{len(verdict.lost)}"),
        ("duplicated", f"{len(verdict.duplicated)}"),
        ("out of order", f"{len(verdict.out_of_order)}"),
        ("start to live", _spread(record.live_after_s)),
        ("kill to next sign", _spread(signs)),
        ("took", f"{took_s:.0f} s"),
    )
    say("")
    for name, value in rows:
        say(f"{name:<18} {value}")
    for wrong in (verdict.lost, verdict.duplicated, verdict.out_of_order):
        for each in wrong[:_SHOWN]:
            say(f"  {each}")


def _tell_log(setup: SoakFixture) -> None:
    odd = [line for line in setup.daemon.log if line["level"] in ("warning", "error")]
    for event, count in Counter(line["event"] for line in odd).items():
        say(f"in the log: {event} {count} ×")
    for line in [line for line in odd if line["level"] == "error"][:_SHOWN]:
        say(f"  {line}")


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return f"p50 {at(0.5):.1f} s · p95 {at(0.95):.1f} s · max {ordered[-1]:.1f} s"


if __name__ == "__main__":
    main()

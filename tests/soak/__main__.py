"""`python -m tests.soak --kills N [--seed S]`: run the soak test and print its progress and result."""

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
from tests.soak.history_check import CheckResult, check_room, recovery_times
from tests.soak.kills import KillRecord, SoakFailed, kill_repeatedly
from tests.soak.soak_fixture import SoakFixture, print_line, set_up
from tests.soak.traffic import Traffic
from tests.support.matrix_user import MatrixUser
from tests.system.users import answer_to

SETTLED_AFTER_S = 180.0
_SHOWN = 10
_REPORTS = 10


def main() -> None:
    """Kill the daemon many times under traffic; exit 0 only when nothing is lost, duplicated or out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how often the daemon is killed (20)")
    parser.add_argument("--seed", type=int, help="draw the moments as an earlier run did")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print_line(f"seed {seed}; it repeats the moments of the kills, not what happens at them")
    try:
        holds = anyio.run(partial(soak, options.kills, seed))
    except (SoakFailed, SandboxError) as failure:
        sys.exit(f"failed: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if holds else 1)


async def soak(kills: int, seed: int) -> bool:
    """Run once; return whether nothing is lost, duplicated or out of order."""
    rng = random.Random(seed)
    traffic = Traffic(random.Random(seed + 1))
    began = time.monotonic()
    print_line("starting a homeserver, the daemon and an agent; onboarding users …")
    async with set_up(traffic.answer) as setup:
        print_line(f"{len(setup.rooms)} rooms are ready after {time.monotonic() - began:.0f} s")
        began = time.monotonic()

        def progress(record: KillRecord) -> None:
            if len(record.at) % max(1, kills // _REPORTS) == 0:
                print_line(
                    f"{len(record.at):5} of {kills} kills · {traffic.sent} messages"
                    f" · {time.monotonic() - began:.0f} s"
                )

        async with anyio.create_task_group() as group:
            for number, (user, room) in enumerate(setup.rooms):
                group.start_soon(traffic.send_messages, user, room, str(number))
            record = await kill_repeatedly(setup, kills, rng, progress)
            traffic.over.set()
        print_line("waiting for the last answers …")
        unanswered = await _wait_for_last_answers(setup, traffic)
        print_line("reading the rooms …")
        result, recovered_s = await _read(setup, record)
        _print_report(result, record, recovered_s, time.monotonic() - began)
        _print_log(setup)
        if unanswered:
            print_line(f"timed out in {unanswered} rooms after {SETTLED_AFTER_S:.0f} s")
        await setup.daemon.stop()
    return result.holds


async def _wait_for_last_answers(setup: SoakFixture, traffic: Traffic) -> int:
    """Wait until each room's last message is answered; return the number of rooms where it is not."""
    waiting = len(setup.rooms)

    async def wait_for_last(user: MatrixUser, room: str) -> None:
        nonlocal waiting
        await answer_to(user, room, await traffic.send_last(user, room), SETTLED_AFTER_S)
        waiting -= 1

    with anyio.move_on_after(SETTLED_AFTER_S):
        async with anyio.create_task_group() as group:
            for user, room in setup.rooms:
                group.start_soon(wait_for_last, user, room)
    return waiting


async def _read(setup: SoakFixture, record: KillRecord) -> tuple[CheckResult, list[float]]:
    result = CheckResult()
    everything: list[RoomEvent] = []
    for user, room in setup.rooms:
        events = await user.messages(room)
        result += check_room(events, user.user_id, setup.bot)
        everything += events
    return result, recovery_times(everything, setup.bot, record.at)


def _print_report(
    result: CheckResult, record: KillRecord, recovered_s: Sequence[float], took_s: float
) -> None:
    rows = (
        ("kills", f"{len(record.at)}, {record.before_live} of them before it was live"),
        ("homeserver kills", f"{record.homeservers}"),
        ("messages", f"{result.messages}"),
        ("replies", f"{result.replies}"),
        ("lost", f"{len(result.lost)}"),
        ("duplicated", f"{len(result.duplicated)}"),
        ("out of order", f"{len(result.out_of_order)}"),
        ("start to live", _spread(record.live_after_s)),
        ("kill to next sign", _spread(recovered_s)),
        ("took", f"{took_s:.0f} s"),
    )
    print_line("")
    for name, value in rows:
        print_line(f"{name:<18} {value}")
    for wrong in (result.lost, result.duplicated, result.out_of_order):
        for each in wrong[:_SHOWN]:
            print_line(f"  {each}")


def _print_log(setup: SoakFixture) -> None:
    odd = [line for line in setup.daemon.log if line["level"] in ("warning", "error")]
    for event, count in Counter(line["event"] for line in odd).items():
        print_line(f"in the log: {event} {count} ×")
    for line in [line for line in odd if line["level"] == "error"][:_SHOWN]:
        print_line(f"  {line}")


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return f"p50 {at(0.5):.1f} s · p95 {at(0.95):.1f} s · max {ordered[-1]:.1f} s"


if __name__ == "__main__":
    main()

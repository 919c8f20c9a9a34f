"""`python -m tests.simulation`: run seeds, and print the history of one that fails."""

import argparse
import sys
import time

from tests.simulation.outcome import simulate
from tests.simulation.pool import outcomes

LAST_EVENTS = 40
WIDTH = 300


def main() -> int:
    """Run the seeds of the command line; return 1 when a history is violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument(
        "--from", type=int, default=0, dest="first", help="the first seed (default 0)"
    )
    parser.add_argument("--seed", type=int, help="one seed, with its whole history")
    parser.add_argument(
        "--keep-going", action="store_true", help="do not end at the first violation"
    )
    options = parser.parse_args()
    if options.seed is not None:
        outcome = simulate(options.seed)
        print("\n".join(outcome.trace))
        print(
            f"seed {outcome.seed}: {outcome.violation or 'no violation'}; history {outcome.digest}"
        )
        return int(outcome.violation is not None)
    return _run(range(options.first, options.first + options.seeds), keep_going=options.keep_going)


def _run(seeds: range, *, keep_going: bool) -> int:
    began, done, messages, kills, requests, forks = time.monotonic(), 0, 0, 0, 0, 0
    failed: list[int] = []
    for outcome in outcomes(seeds):
        done += 1
        messages += outcome.messages
        kills += outcome.kills
        requests += outcome.requests
        forks += outcome.forks
        if outcome.violation is not None:
            failed.append(outcome.seed)
            print(f"seed {outcome.seed}: {outcome.violation}", flush=True)
            if not keep_going:
                break
        if sys.stdout.isatty() and not done % 20:
            print(f"\r{done} of {len(seeds)} seeds", end="\r", flush=True)
    took_s = time.monotonic() - began
    print(
        f"{done} seeds in {took_s:.1f} s ({done / took_s:.1f}/s): {messages} messages,"
        f" {kills} kills, {forks} forks, {requests} requests, {len(failed)} violations"
    )
    if failed and not keep_going:
        print(f"\nThe end of the history of seed {failed[0]}:")
        for line in simulate(failed[0]).trace[-LAST_EVENTS:]:
            print(line[:WIDTH])
        print(f"\nThe whole of it: python -m tests.simulation --seed {failed[0]}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

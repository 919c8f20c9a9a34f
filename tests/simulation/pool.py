"""Many seeds on all processors: each worker process lives through one history after the other."""

import gc
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.simulation.history import Outcome, simulate
from tests.simulation.planted import BUGS, planted

SEEDS_A_TASK = 5


def outcomes(
    seeds: Iterable[int], *, bug: str | None = None, workers: int | None = None
) -> Iterator[Outcome]:
    """Yield what becomes of each seed, as it comes; traces are left out."""
    # A fresh interpreter each: a fork would take threads' locks along.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers or os.cpu_count(), initializer=_prepare) as pool:
        tasks = ((seed, bug) for seed in seeds)
        yield from pool.imap_unordered(_one, tasks, chunksize=SEEDS_A_TASK)


def _prepare() -> None:
    # Memory is cleared between histories, never in the middle of one: finalisers run at set moments.
    gc.disable()
    gc.freeze()


def _one(task: tuple[int, str | None]) -> Outcome:
    seed, bug = task
    with planted(bug):
        outcome = simulate(seed, blind=bug is not None and BUGS[bug].blind)
    gc.collect()
    return replace(outcome, trace=())

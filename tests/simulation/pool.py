"""Run many seeds on all processors, one history after the other in each worker process."""

import gc
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.simulation.outcome import Outcome, simulate

SEEDS_A_TASK = 5


def outcomes(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Yield the outcome of each seed as it ends, without its trace."""
    # A fresh interpreter each, because a fork would copy the locks of threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count(), initializer=_prepare) as pool:
        yield from pool.imap_unordered(_one, seeds, chunksize=SEEDS_A_TASK)


def _prepare() -> None:
    # Collect garbage between histories only, so that finalisers run at fixed moments.
    gc.disable()
    gc.freeze()


def _one(seed: int) -> Outcome:
    outcome = simulate(seed)
    gc.collect()
    return replace(outcome, trace=())

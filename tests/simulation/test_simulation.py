"""A thousand histories hold, and each can be lived through again exactly as it was."""

import os
import subprocess
import sys

import pytest

from tests.simulation.history import simulate
from tests.simulation.pool import outcomes

SEEDS = 1000
SOME_SEEDS = (2, 11, 39, 185)
VIOLATED_ONCE = (10968, 19420, 16793, 24140, 25161, 27653, 27707, 18980, 23321, 48299)
"""What their bugs were, in order: an outage that strikes a request which had failed before, among others that
wait (L9), twice; a sync that shows answered messages once more to a bot without its database (D1, D12), twice;
a Space that is ordered again after it was refused (D1); an answer of several parts that is cut off between
them (D12); an answer that was sent, and the bot put out of the room before it knew (D1); an edit under a
transaction id that an earlier one had used up (D12); an old look at a room that the bot had come back to (O1, C7);
a request that waited in its lane while the gate was closed and opened again, and then met an outage (L9). They are
histories without forks: with them the same seeds are other histories."""
TIMEOUT_S = 60


def test_nothing_is_lost_doubled_or_out_of_order_in_a_thousand_histories():
    lived = list(outcomes(range(SEEDS)))
    broken = {outcome.seed: outcome.violation for outcome in lived if outcome.violation}
    assert not broken, f"see `python -m tests.simulation --seed {min(broken)}`"
    assert len(lived) == SEEDS
    # They would hold as well if nothing had happened in them.
    assert sum(outcome.messages for outcome in lived) > 10 * SEEDS
    assert sum(outcome.kills for outcome in lived) > SEEDS
    assert sum(outcome.forks for outcome in lived) > SEEDS


@pytest.mark.parametrize("seed", VIOLATED_ONCE)
def test_a_seed_that_found_a_bug_finds_it_no_more(seed):
    assert simulate(seed, forks=False).violation is None


@pytest.mark.parametrize("seed", SOME_SEEDS)
def test_a_seed_is_one_history_in_every_process_whatever_its_hashes_are(seed):
    here = simulate(seed)
    for hash_seed in ("0", "1"):
        lived = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert lived.stdout.splitlines()[:-1] == list(here.trace)


def test_different_seeds_are_different_histories():
    assert len({simulate(seed).digest for seed in SOME_SEEDS}) == len(SOME_SEEDS)

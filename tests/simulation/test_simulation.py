"""A thousand histories hold, and each can be repeated exactly."""

import os
import subprocess
import sys

import pytest

from tests.simulation.outcome import simulate
from tests.simulation.pool import outcomes

SEEDS = 1000
SOME_SEEDS = (2, 11, 39, 185)
TIMEOUT_S = 60


def test_nothing_is_lost_doubled_or_out_of_order_in_a_thousand_histories():
    lived = list(outcomes(range(SEEDS)))
    broken = {outcome.seed: outcome.violation for outcome in lived if outcome.violation}
    assert not broken, f"see `python -m tests.simulation --seed {min(broken)}`"
    assert len(lived) == SEEDS
    # They would also hold if nothing had happened in them.
    assert sum(outcome.messages for outcome in lived) > 10 * SEEDS
    assert sum(outcome.kills for outcome in lived) > SEEDS
    assert sum(outcome.forks for outcome in lived) > SEEDS


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

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


def test_a_thousand_histories_have_no_violation():
    results = list(outcomes(range(SEEDS)))
    broken = {outcome.seed: outcome.violation for outcome in results if outcome.violation}
    assert not broken, f"see `python -m tests.simulation --seed {min(broken)}`"
    assert len(results) == SEEDS
    # Without messages, kills and forks there would be no violation either.
    assert sum(outcome.messages for outcome in results) > 10 * SEEDS
    assert sum(outcome.kills for outcome in results) > SEEDS
    assert sum(outcome.forks for outcome in results) > SEEDS


@pytest.mark.parametrize("seed", SOME_SEEDS)
def test_a_seed_gives_the_same_history_in_every_process_and_with_every_hash_seed(seed):
    here = simulate(seed)
    for hash_seed in ("0", "1"):
        completed = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert completed.stdout.splitlines()[:-1] == list(here.trace)


def test_different_seeds_give_different_histories():
    assert len({simulate(seed).digest for seed in SOME_SEEDS}) == len(SOME_SEEDS)

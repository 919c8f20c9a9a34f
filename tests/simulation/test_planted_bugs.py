"""What the simulation is worth: every bug that is planted is found, and soon."""

import pytest

from tests.simulation.history import simulate
from tests.simulation.planted import BUGS, planted


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_within_a_few_seeds(name):
    with planted(name):
        for seed in range(BUGS[name].within):
            if simulate(seed, blind=BUGS[name].blind).violation is not None:
                return
    pytest.fail(f"not found in {BUGS[name].within} seeds: {name}")

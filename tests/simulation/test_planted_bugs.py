"""Every planted bug is found within a few seeds."""

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.outcome import simulate


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_within_a_few_seeds(name):
    bug = BUGS[name]
    for seed in range(bug.within):
        if simulate(seed, bug=bug).violation is not None:
            return
    pytest.fail(f"not found in {bug.within} seeds: {name}")

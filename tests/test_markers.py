"""`make quick` leaves out every marked test, and a test that starts Synapse is marked."""

import re
from pathlib import Path

import pytest

from sandbox.synapse import Synapse

MAKEFILE = Path(__file__).parents[1] / "Makefile"


async def test_a_test_without_the_marker_can_not_start_synapse():
    with pytest.raises(pytest.fail.Exception, match=r"needs `@pytest\.mark\.system`"):
        async with Synapse():
            pass


def test_make_quick_leaves_out_every_marker_of_this_project(pytestconfig):
    expression = re.search(r"-m '(.*?)'", MAKEFILE.read_text())
    assert expression is not None
    left_out = set(expression[1].removeprefix("not ").split(" and not "))
    declared = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    assert left_out == declared & {"simulation", "slow", "soak", "system"}


def test_each_test_in_the_folder_of_a_marker_has_the_marker(request):
    for item in request.session.items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in ("simulation", "soak", "system"):
            assert item.get_closest_marker(folder), item.nodeid

"""`docs/machines.md` says what the code does, all of it."""

from pathlib import Path

import pytest

from machines import drawing
from tests.machines.samples import MACHINES, MODULES

PAGE = Path(__file__).parents[2] / "docs" / "machines.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == drawing.render(), "run `make docs`"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_machine_is_told_drawn_and_listed_whole(machine):
    page = drawing.render()
    section = page[page.index(f"## {machine.name} ") :].split("\n## ")[0]
    arrows, refusals = section.split("### Transitions")[1].split("### Refusals")

    prose = (MODULES[machine.name].__doc__ or "").strip().splitlines()
    assert all(line in section for line in prose)
    assert all(f"--> {state}" in section.split("```")[1] for state in machine.table.states)
    for arrow in machine.table.arrows:
        rows = [line for line in arrows.splitlines() if line.startswith(f"| `{arrow.source}` |")]
        assert any(
            f"| `{arrow.event}` |" in row
            and (f"`{arrow.guard}`: " in row if arrow.guard else True)
            and (f"`{arrow.action}`: " in row if arrow.action else True)
            and (f"| `{arrow.target}` |" in row or arrow.target == arrow.source)
            for row in rows
        ), arrow
    for event, states in machine.table.refuses.items():
        for state, why in states.items():
            assert any(
                line.startswith(f"| `{event}` |") and f"`{state}`" in line and why in line
                for line in refusals.splitlines()
            ), (event, state)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_event_guard_and_action_has_a_sentence_of_its_own(machine):
    for fact in machine.facts:
        # A dataclass without a docstring is given its signature for one.
        assert not type(fact).__doc__.startswith(f"{type(fact).__name__}(")
    for arrow in machine.table.arrows:
        for name in filter(None, (arrow.guard, arrow.action)):
            assert getattr(machine.table.machine, name).__doc__

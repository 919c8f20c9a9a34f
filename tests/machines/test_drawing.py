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
    transitions, refusals = section.split("### Transitions")[1].split("### Refusals")

    prose = (MODULES[machine.name].__doc__ or "").strip().splitlines()
    assert all(line in section for line in prose)
    assert all(f"--> {state}" in section.split("```")[1] for state in machine.table.states)
    for transition in machine.table.transitions:
        rows = [
            line
            for line in transitions.splitlines()
            if line.startswith(f"| `{transition.source}` |")
        ]
        assert any(
            f"| `{transition.event}` |" in row
            and (f"`{transition.guard}`: " in row if transition.guard else True)
            and (f"`{transition.action}`: " in row if transition.action else True)
            and (f"| `{transition.target}` |" in row or transition.target == transition.source)
            for row in rows
        ), transition
    for event, states in machine.table.refuses.items():
        for state, why in states.items():
            assert any(
                line.startswith(f"| `{event}` |") and f"`{state}`" in line and why in line
                for line in refusals.splitlines()
            ), (event, state)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_event_guard_and_action_has_a_sentence_of_its_own(machine):
    for trigger in machine.events:
        # A dataclass without a docstring is given its signature for one.
        assert not type(trigger).__doc__.startswith(f"{type(trigger).__name__}(")
    for transition in machine.table.transitions:
        for name in filter(None, (transition.guard, transition.action)):
            assert getattr(machine.table.machine, name).__doc__

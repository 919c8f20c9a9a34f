"""The drawings of the room machine contain the whole declaration, and mark one state."""

import re
from xml.etree import ElementTree as ET

import pytest

from cli.diagram import _CENTRES, _ROUTES, DiagramFormat, draw, internal_events, state_changes
from machines.room.machine import ROOM

FORMATS = list(DiagramFormat)
SVG = "{http://www.w3.org/2000/svg}"


def test_every_transition_of_the_declaration_is_drawn_once() -> None:
    drawn = [
        (source, target, label.partition(" ")[0])
        for (source, target), labels in state_changes().items()
        for label in labels
    ]
    drawn += [
        (state, state, label.partition(" ")[0])
        for state in ROOM.states
        for label in internal_events(state)
    ]
    declared = [
        (transition.source, transition.target, transition.event) for transition in ROOM.transitions
    ]
    assert sorted(drawn) == sorted(declared)


@pytest.mark.parametrize("form", FORMATS)
def test_every_state_and_event_is_in_the_drawing(form: DiagramFormat) -> None:
    drawing = draw(form, None)
    for name in (*ROOM.states, *ROOM.events, "user_wrote [cooled_down]"):
        assert name in drawing


@pytest.mark.parametrize("form", FORMATS)
def test_the_drawing_differs_for_every_current_state_and_for_none(form: DiagramFormat) -> None:
    drawings = {state: draw(form, state) for state in (*ROOM.states, None)}
    assert len(set(drawings.values())) == len(ROOM.states) + 1


@pytest.mark.parametrize("state", ROOM.states)
def test_text_marks_only_the_current_state(state: str) -> None:
    marked = [line for line in draw(DiagramFormat.TEXT, state).splitlines() if "▶" in line]
    assert marked == [f"▶ [{state}]  ← now"]


@pytest.mark.parametrize("state", ROOM.states)
def test_mermaid_gives_the_current_state_a_class(state: str) -> None:
    lines = draw(DiagramFormat.MERMAID, state).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert lines[-1] == f"    class {state} current"
    transition = re.compile(r"    (\[\*\]|\w+) --> \w+( : .+)?")
    assert sum(bool(transition.fullmatch(line)) for line in lines) == len(lines) - 3


@pytest.mark.parametrize("state", ROOM.states)
def test_svg_is_well_formed_and_marks_one_box(state: str) -> None:
    root = ET.fromstring(draw(DiagramFormat.SVG, state))
    boxes = {box.get("id"): box for box in root.iter(f"{SVG}g")}
    assert set(boxes) == set(ROOM.states)
    assert [each for each, box in boxes.items() if box.get("class") == "current"] == [state]
    assert f"▶ {state}" in [text.text for text in boxes[state].iter(f"{SVG}text")]
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]) == len(
        state_changes()
    )


def test_svg_has_a_position_for_every_state_and_line_of_the_declaration() -> None:
    assert set(_CENTRES) == set(ROOM.states)
    assert set(_ROUTES) == set(state_changes())


def test_no_text_in_the_svg_is_outside_of_it_or_overlaps_another() -> None:
    root = ET.fromstring(draw(DiagramFormat.SVG, "bound"))
    width, height = (float(root.get(side, "0")) for side in ("width", "height"))
    positions = []
    for text in root.iter(f"{SVG}text"):
        x, y = float(text.get("x", "")), float(text.get("y", ""))
        reach = len(text.text or "") * 7 / 2
        left, right = (
            (x, x + 2 * reach) if text.get("class") == "legend" else (x - reach, x + reach)
        )
        assert 0 <= left < right <= width
        assert 12 <= y <= height - 4
        positions.append((left, right, y, text.text))
    for index, (left, right, y, label) in enumerate(positions):
        for other_left, other_right, other_y, other in positions[index + 1 :]:
            apart = right < other_left or other_right < left or abs(y - other_y) >= 12
            assert apart, f"{label} overlaps {other}"

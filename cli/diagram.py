"""Draws the room machine with the current state marked: as text, mermaid or SVG (contract I2).

All three are generated from the declared transitions (`ROOM`); only the positions in the SVG are written here. An event
that does not change the state is shown inside the state, not on a line.
"""

from collections.abc import Iterator
from enum import StrEnum
from html import escape
from typing import assert_never

from machines.fsm import Transition
from machines.room.machine import ROOM


class DiagramFormat(StrEnum):
    """The format of a drawing."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


def draw(form: DiagramFormat, current: str | None) -> str:
    """Return the drawing, ending with a newline; `current` is the state to mark, if any."""
    match form:
        case DiagramFormat.TEXT:
            lines = _text(current)
        case DiagramFormat.MERMAID:
            lines = _mermaid(current)
        case DiagramFormat.SVG:
            lines = _svg(current)
        case _:
            assert_never(form)
    return "\n".join(lines) + "\n"


def state_changes() -> dict[tuple[str, str], list[str]]:
    """Return the events that change the state, by source and target."""
    found: dict[tuple[str, str], list[str]] = {}
    for transition in ROOM.transitions:
        if transition.source != transition.target:
            found.setdefault((transition.source, transition.target), []).append(_label(transition))
    return found


def internal_events(state: str) -> list[str]:
    """Return the events that a state accepts without a change of state."""
    return [
        _label(transition)
        for transition in ROOM.transitions
        if transition.source == transition.target == state
    ]


def _label(transition: Transition) -> str:
    return f"{transition.event} [{transition.guard}]" if transition.guard else transition.event


# -- text ------------------------------------------------------------------------------------------


def _text(current: str | None) -> Iterator[str]:
    for number, state in enumerate(ROOM.states):
        if number:
            yield ""
        yield f"▶ [{state}]  ← now" if state == current else f"  [{state}]"
        lines = [
            (f"→ {target}", labels)
            for (source, target), labels in state_changes().items()
            if source == state
        ]
        if internal := internal_events(state):
            lines.append(("stays", internal))
        for index, (where, labels) in enumerate(lines):
            last = index == len(lines) - 1
            for row, part in enumerate(_wrapped(labels, 60)):
                branch = ("└─" if last else "├─") if row == 0 else ("  " if last else "│ ")
                yield f"    {branch} {where if row == 0 else '':<15}  {part}"


def _wrapped(labels: list[str], width: int) -> list[str]:
    lines = [""]
    for label in labels:
        if lines[-1] and len(lines[-1]) + len(label) + 2 > width:
            lines.append("")
        lines[-1] += f", {label}" if lines[-1] else label
    return [f"{line}," for line in lines[:-1]] + lines[-1:]


# -- mermaid ---------------------------------------------------------------------------------------


def _mermaid(current: str | None) -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {ROOM.states[0]}"
    for (source, target), labels in state_changes().items():
        yield f"    {source} --> {target} : {'<br>'.join(labels)}"
    for state in ROOM.states:
        if internal := internal_events(state):
            yield f"    {state} --> {state} : {'<br>'.join(internal)}"
    if current is not None:
        yield "    classDef current fill:#1d6f42,color:#ffffff,stroke:#0d3b22,stroke-width:3px"
        yield f"    class {current} current"


# -- SVG -------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT = 1120, 640
_BOX = 210
_LINE = 17

_CENTRES = {
    "unregistered": (135, 320),
    "reconciling": (560, 320),
    "bound": (985, 120),
    "failed": (985, 520),
}

# Each line: its path from border to border, and the centre of its label.
_ROUTES = {
    ("unregistered", "reconciling"): ("M 240 300 L 449 300", 345, 245),
    ("reconciling", "unregistered"): ("M 455 345 L 246 345", 345, 372),
    ("reconciling", "bound"): ("M 600 262 L 600 150 Q 600 135 615 135 L 874 135", 740, 118),
    ("bound", "reconciling"): ("M 985 176 L 985 285 Q 985 300 970 300 L 671 300", 830, 285),
    ("reconciling", "failed"): ("M 600 378 L 600 500 Q 600 515 615 515 L 874 515", 740, 498),
    ("failed", "reconciling"): ("M 985 481 L 985 355 Q 985 340 970 340 L 671 340", 830, 402),
    ("bound", "unregistered"): ("M 880 80 L 150 80 Q 135 80 135 95 L 135 272", 345, 64),
    ("failed", "unregistered"): ("M 880 545 L 150 545 Q 135 545 135 530 L 135 368", 345, 563),
}

_LEGEND = "Inside a state: the events that it accepts without a change of state."
_STYLE = """\
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f }
.name { font-size: 18px; font-weight: 600; text-anchor: middle }
.stays { font-size: 12px; text-anchor: middle; fill: #57606a }
.label { font-size: 12.5px; paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round;
  text-anchor: middle }
.legend { font-size: 12px; fill: #57606a }
.box { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.5 }
.line { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip) }
.current .box { fill: #1d6f42; stroke: #0d3b22; stroke-width: 3 }
.current .name { fill: #ffffff }
.current .stays { fill: #d2f0df }
"""


def _svg(current: str | None) -> Iterator[str]:
    marked = f", now {current}" if current else ""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" role="img">'
    )
    yield f"<title>The room machine{marked}</title>"
    yield f"<style>\n{_STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="8" markerHeight="8"'
        ' orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="#57606a"/></marker></defs>'
    )
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    for route, labels in state_changes().items():
        path, x, y = _ROUTES[route]
        yield f'<path class="line" d="{path}"/>'
        yield from _lines(labels, x, y, "label")
    for state in ROOM.states:
        yield from _box(state, state == current)
    yield f'<text class="legend" x="30" y="{_HEIGHT - 20}">{_LEGEND}</text>'
    yield "</svg>"


def _box(state: str, is_current: bool) -> Iterator[str]:
    x, y = _CENTRES[state]
    inside = internal_events(state)
    height = 44 + _LINE * len(inside)
    top = y - height / 2
    mark = ' class="current"' if is_current else ""
    yield f'<g id="{state}"{mark}>'
    yield (
        f'<rect class="box" x="{x - _BOX / 2:g}" y="{top:g}" width="{_BOX}" height="{height}" rx="12"/>'
    )
    name = f"▶ {state}" if is_current else state
    yield f'<text class="name" x="{x}" y="{top + 28:g}">{escape(name)}</text>'
    middle = top + 40 + _LINE * len(inside) / 2 - 4
    yield from _lines(inside, x, middle, "stays")
    yield "</g>"


def _lines(labels: list[str], x: float, middle: float, kind: str) -> Iterator[str]:
    """Yield labels one below the other, centred around `middle`."""
    first = middle - _LINE * (len(labels) - 1) / 2 + 4
    for index, label in enumerate(labels):
        y = first + _LINE * index
        yield f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(label)}</text>'

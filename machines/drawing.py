"""Generates `docs/machines.md`: a description, a diagram, and every transition and refusal of each machine.

`make docs` writes the page; a test fails if it is out of date.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, get_args

from msgspec import Struct

from machines.bot.machine import BOT
from machines.fsm import Table, event_name
from machines.room.machine import ROOM
from machines.turn.machine import TURN
from machines.user.machine import USER

_INTRODUCTION = """\
# The machines

Generated from the code by `make docs`; edit the declarations in `machines/`, not this page.

Each machine is declared once, with python-statemachine. The diagrams and tables below and the compiled table
(`machines/fsm.py`) are read from that declaration, and a test proves the compiled table equal to the engine. An
action returns the new row and the effects, and performs nothing. Of several transitions for one state and event, the
first whose guard holds is taken. A refused event changes nothing. A transition from a state to itself is not stored in
the database; the diagram shows it inside its state, or omits it if it has no action.
"""


def render() -> str:
    """Return the whole page."""
    machines: Sequence[Table[Any]] = (BOT, ROOM, TURN, USER)
    return "\n".join([_INTRODUCTION, *(section for table in machines for section in _page(table))])


def _page(table: Table[Any]) -> Iterator[str]:
    module = sys.modules[table.machine.__module__]
    title, _, prose = inspect.cleandoc(module.__doc__ or "").partition("\n")
    yield f"## {table.name} (`{module.__name__.replace('.', '/')}.py`)\n"
    yield f"{title}\n{prose}\n"
    yield f"```mermaid\n{f'{table.machine:mermaid}'.strip()}\n```\n"
    yield "### Events\n"
    yield _grid(("event", "meaning"), _events(table, module))
    yield "### Transitions\n"
    yield _grid(("state", "event", "guard", "next", "action"), _transitions(table))
    yield "### Refusals\n"
    yield _grid(("event", "state", "reason"), _refusals(table))


def _events(table: Table[Any], module: ModuleType) -> Iterator[tuple[str, ...]]:
    # A module has its events as classes, or as members of a union.
    values = (each for value in vars(module).values() for each in get_args(value) or (value,))
    classes = {
        event_name(value): value
        for value in values
        if isinstance(value, type) and issubclass(value, Struct)
    }
    for event in table.events:
        yield f"`{event}`", _sentence(classes[event])


def _transitions(table: Table[Any]) -> Iterator[tuple[str, ...]]:
    for transition in table.transitions:
        yield (
            f"`{transition.source}`",
            f"`{transition.event}`",
            _with_meaning(table, transition.guard),
            "–" if transition.target == transition.source else f"`{transition.target}`",
            _with_meaning(table, transition.action),
        )


def _refusals(table: Table[Any]) -> Iterator[tuple[str, ...]]:
    for event, states in table.refuses.items():
        states_by_reason: dict[str, list[str]] = {}
        for state, reason in states.items():
            states_by_reason.setdefault(reason, []).append(f"`{state}`")
        for reason, refused in states_by_reason.items():
            yield f"`{event}`", ", ".join(refused), reason


def _with_meaning(table: Table[Any], name: str | None) -> str:
    return f"`{name}`: {_sentence(getattr(table.machine, name))}" if name else ""


def _sentence(documented: object) -> str:
    """Return a docstring on one line."""
    return re.sub(r"\s+", " ", inspect.getdoc(documented) or "").strip()


def _grid(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render())

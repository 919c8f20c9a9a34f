"""docs/operating.md describes exactly the events that the program logs (contract L12)."""

import ast
import json
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import get_args

from agent_platform.errors import BreakKind
from cli.log_console import SENTENCES
from cli.log_limits import LIMITED
from machines.events.agent import AGENT_BUSY

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operating.md").read_text()
PACKAGES = ("actors", "agent_platform", "cli", "machines", "matrix", "store")
LEVELS = {"debug", "info", "warning", "error"}
KIND_ARGUMENTS = {"drop_turn": 1, "_end_retries": 2, "_cancel": 3}
"""The position of the fault's kind in the arguments of the functions that end a turn."""
NAME = re.compile(r"[a-z]+(_[a-z]+)*")


def writes_a_line(function: ast.expr) -> bool:
    """Whether a call of this is a log line: `logger.info`, a choice of two levels, `log`, `_debug` or `Log`."""
    match function:
        case ast.Attribute(attr=attr):
            return attr in LEVELS
        case ast.Name(id=name):
            return name in {"Log", "log", "_debug"}
        case ast.IfExp(body=body, orelse=orelse):
            return writes_a_line(body) and writes_a_line(orelse)
        case _:
            return False


def logged() -> Iterator[str]:
    """Yield the name of each event in the code of the product."""
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and writes_a_line(node.func):
                first = node.args[0]
                if isinstance(first, ast.Constant) and NAME.fullmatch(str(first.value)):
                    yield str(first.value)


def table(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n### {heading}\n", 1)[1]
    lines = section[section.index("\n|") + 1 :].splitlines()
    rows = takewhile(lambda line: line.startswith("|"), lines[2:])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


EVENTS = {row[0].strip("`"): row for row in table("Events")}


def test_the_table_has_exactly_the_events_of_the_code() -> None:
    assert set(EVENTS) == set(logged())


def test_every_warning_and_error_says_what_to_do() -> None:
    for name, (_, level, _, meaning, advice) in EVENTS.items():
        assert set(level.split(", ")) <= LEVELS, name
        assert meaning, name
        assert advice, name


def test_sentences_and_limits_are_of_events_that_exist() -> None:
    assert set(SENTENCES) | LIMITED <= set(EVENTS)


def kinds_of_this_program() -> Iterator[str]:
    """Yield the kinds with which the machines end a turn."""
    for file in (ROOT / "machines").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                position = KIND_ARGUMENTS.get(node.func.id)
                if position is not None:
                    constants = ast.walk(node.args[position])
                    yield from (
                        str(each.value) for each in constants if isinstance(each, ast.Constant)
                    )


def test_every_kind_of_fault_is_described() -> None:
    kinds = {kind for row in table("Faults of turns") for kind in re.findall(r"`(\w+)`", row[0])}
    ours = set(kinds_of_this_program()) - {""}
    assert {"removed", "no_call", "too_long"} < ours
    assert kinds - {"agent_error"} == ours | {*get_args(BreakKind), AGENT_BUSY}


def test_the_example_has_only_events_of_the_table_and_the_levels_of_the_table() -> None:
    lines = [json.loads(line) for line in PAGE.splitlines() if line.startswith('{"timestamp"')]
    assert len(lines) > 20
    for line in lines:
        assert line["level"] in EVENTS[line["event"]][1], line["event"]
    console = re.findall(r"\[([a-z_]+)\]$", PAGE, re.MULTILINE)
    assert {line["event"] for line in lines} <= set(console) <= set(EVENTS)

"""`python -m tests.bench [NAME …]`: run benchmarks and print a table for each."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from sandbox.errors import SandboxError
from tests.bench import (
    drain,
    flood,
    idle,
    journal,
    latency,
    machines,
    messages,
    rendering,
    start,
    synapse,
)
from tests.bench.figures import BenchFailed, Figure
from tests.bench.table import table_of

BENCHES: dict[str, ModuleType] = {
    "machines": machines,
    "journal": journal,
    "idle": idle,
    "messages": messages,
    "drain": drain,
    "latency": latency,
    "flood": flood,
    "rendering": rendering,
    "start": start,
    "synapse": synapse,
}

ONLY_BY_NAME = ("synapse",)


def main() -> None:
    """Run the benchmarks of the command line; by default all but those that take minutes."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to a file"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(BENCHES)}")
    console = Console()
    measured, failed = run(
        console, options.names or [name for name in BENCHES if name not in ONLY_BY_NAME]
    )
    if options.json is not None:
        options.json.write_text(json.dumps(measured, indent=2) + "\n")
    sys.exit(1 if failed else 0)


def run(console: Console, names: Iterable[str]) -> tuple[dict[str, Any], bool]:
    """Run the named benchmarks; a missed goal is only shown, wrong results are a failure."""
    measured: dict[str, Any] = {}
    failed = False
    for name in names:
        bench = BENCHES[name]
        figures: list[Figure] = []
        measure: Callable[[], Iterable[Figure]] = bench.measure
        try:
            with console.status(f"measuring {name}…"):
                figures.extend(measure())
        except (BenchFailed, SandboxError) as failure:
            console.print(f"[red]{name}: {failure}[/]")
            failed = True
        console.print(table_of(bench.TITLE, figures))
        measured[name] = [figure.as_json() for figure in figures]
    return measured, failed


if __name__ == "__main__":
    main()

"""The table of figures."""

from collections.abc import Iterable

from rich import box
from rich.table import Table

from tests.bench.figures import Figure, Goal, ratio


def table_of(title: str, figures: Iterable[Figure]) -> Table:
    """Return the table of one benchmark; comparisons are below their figure."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("what", min_width=30)
    table.add_column("ours", justify="right", no_wrap=True, min_width=11)
    table.add_column("beside", justify="right", no_wrap=True, style="dim")
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True, min_width=9)
    for figure in figures:
        ours = f"{number(figure.ours)} {figure.unit}".rstrip()
        table.add_row(figure.what, ours, "", "", _goal(figure.goal, met=figure.met))
        for each in figure.beside:
            times = ratio(figure.ours, each.value)
            shown = "–" if times is None else f"{number(times)} ×"
            table.add_row(f"[dim]· {each.name}[/]", "", number(each.value), shown, "")
    return table


def _goal(goal: Goal | None, *, met: bool | None) -> str:
    if goal is None:
        return ""
    sign = "≥" if goal.kind == "at least" else "≤"
    mark = "[green]✓[/]" if met else "[red]✗[/]"
    return f"{sign} {number(goal.limit)} {mark}"


def number(value: float) -> str:
    """Format a number with its significant digits, and a space between thousands."""
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    if size < 0.1 and value:
        digits = 3
    return f"{value:,.{digits}f}".replace(",", " ")

"""A figure is shown with its comparisons, and a missed goal is marked."""

from rich.console import Console

from tests.bench.figures import Comparison, Figure, Goal
from tests.bench.table import number, table_of


def test_a_goal_is_a_lower_or_an_upper_limit() -> None:
    assert Figure("rate", 5_000, "/s", goal=Goal("at least", 5_000)).met is True
    assert Figure("rate", 4_999, "/s", goal=Goal("at least", 5_000)).met is False
    assert Figure("memory", 51, "MiB", goal=Goal("at most", 50)).met is False
    assert Figure("rate", 1, "/s").met is None


def test_a_figure_as_json_names_the_ratio_to_each_comparison() -> None:
    beside = (Comparison("floor", 200.0), Comparison("nothing", 0.0))
    shown = Figure("rate", 100.0, "/s", beside, Goal("at most", 150)).as_json()
    assert shown["beside"] == [
        {"name": "floor", "value": 200.0, "ratio": 0.5},
        {"name": "nothing", "value": 0.0, "ratio": None},
    ]
    assert shown["goal"] == {"kind": "at most", "limit": 150, "met": True}


def test_a_table_has_a_line_for_each_comparison_and_a_mark_for_each_goal() -> None:
    figures = [
        Figure("drain", 4_000, "/s", (Comparison("bare nio", 1_000),), Goal("at least", 3_500)),
        Figure("latency", 7.25, "ms", (), Goal("at most", 5)),
    ]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table_of("Messages", figures))
    lines = [line.split() for line in captured.get().splitlines() if line.strip()]
    assert ["drain", "4", "000", "/s", "≥", "3", "500", "✓"] in lines
    assert ["·", "bare", "nio", "1", "000", "4", "×"] in lines
    assert ["latency", "7.25", "ms", "≤", "5", "✗"] in lines


def test_numbers_have_their_significant_digits() -> None:
    shown = [number(value) for value in (12_345.6, 123.4, 12.34, 1.234, 0.1234, 0.0123, 5.0, 0)]
    assert shown == ["12 346", "123", "12.3", "1.23", "0.12", "0.012", "5", "0"]

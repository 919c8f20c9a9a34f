"""The output of the demo: one line for each step, with the elapsed time and the role that acts.

On a terminal, waits show a spinner, and a partial answer is updated in place. Elsewhere every line is plain and final.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

Role = Literal["homeserver", "operator", "user", "bot"]

_COLOURS: dict[Role, str] = {
    "homeserver": "magenta",
    "operator": "yellow",
    "user": "cyan",
    "bot": "green",
}
_TIME_WIDTH = 7
_ROLE_WIDTH = max(map(len, _COLOURS))
_INDENT = _TIME_WIDTH + _ROLE_WIDTH + 4
_PARTIAL_LINES = 12
_EXCERPT_LINES = 7
_TAIL_CHARS = 40


class DemoOutput:
    """Prints to one console; text of users and servers is never read as markup."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._began

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line that belongs to no step."""
        self._console.print(Text(text, style), soft_wrap=True)

    def step(self, role: Role, text: str, quote: str = "") -> None:
        """Print what a role did, and below it the text that it wrote."""
        when = f"{self.elapsed_s:.1f} s".rjust(_TIME_WIDTH)
        if self._console.is_terminal:
            row = Table.grid(padding=(0, 2))
            row.add_column(width=_TIME_WIDTH, no_wrap=True)
            row.add_column(width=_ROLE_WIDTH, no_wrap=True)
            row.add_column()
            row.add_row(Text(when, "dim"), Text(role, f"bold {_COLOURS[role]}"), Text(text))
            self._console.print(row)
        else:
            self._console.print(Text(f"{when}  {role:<{_ROLE_WIDTH}}  {text}"), soft_wrap=True)
        if quote:
            self.quote(quote)

    def quote(self, text: str) -> None:
        """Print text below the current step."""
        for line in text.splitlines():
            if not self._console.is_terminal:
                quoted = f"{'':{_INDENT}}│ {line}".rstrip()
                self._console.print(Text(quoted), soft_wrap=True)
                continue
            for part in Text(line).wrap(self._console, self.width) or (Text(),):
                row = Text.assemble(("│ ", "dim"), part)
                self._console.print(Padding(row, (0, 0, 0, _INDENT)))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show a spinner during a wait, on a terminal only."""
        line = Text(f"{text} …", "dim")
        with self._console.status(line) if self._console.is_terminal else nullcontext():
            yield

    @contextmanager
    def partial_answer(self, doing: str) -> Iterator["PartialAnswer"]:
        """Show a partial answer: in place on a terminal, elsewhere one line for each version."""
        if not self._console.is_terminal:
            yield PartialAnswer(self, None, doing)
            return
        with Live(console=self._console, transient=True, refresh_per_second=10) as live:
            partial = PartialAnswer(self, live, doing)
            partial.show("", "")
            yield partial

    @property
    def width(self) -> int:
        """Columns for quoted text."""
        return max(40, self._console.width - _INDENT - 2)


class PartialAnswer:
    """One answer that is shown while it is streamed."""

    def __init__(self, output: DemoOutput, live: Live | None, doing: str) -> None:
        self._output = output
        self._live = live
        self._doing = doing

    def show(self, text: str, remark: str) -> None:
        """Show the current text; `remark` describes the progress."""
        if self._live is None:
            self._output.step("bot", f"{remark}: “{tail(text)}”")
            return
        spinner = Spinner("dots", Text(f"{self._doing}{remark and ': '}{remark}", "dim"))
        lines: list[RenderableType] = [
            Text(f"│ {line}", "green", no_wrap=True, overflow="ellipsis")
            for line in text.splitlines()[-_PARTIAL_LINES:]
        ]
        self._live.update(Padding(Group(*lines, spinner), (0, 0, 0, _INDENT)))


def tail(text: str) -> str:
    """Return the end of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _TAIL_CHARS else f"…{flat[-_TAIL_CHARS:]}"


def excerpt(text: str) -> str:
    """Return a text, without the middle if it is long."""
    lines = text.splitlines()
    if len(lines) <= _EXCERPT_LINES:
        return text
    left_out = len(lines) - _EXCERPT_LINES + 1
    return "\n".join([*lines[: _EXCERPT_LINES - 2], f"… {left_out} lines …", lines[-1]])

"""The text that `reset` prints: three parts, and that it is for development and QA only (contract X4)."""

from collections.abc import Iterator
from typing import assert_never

from cli.reset_plan import LocalLine, Mode, ServerLine, Summary
from cli.terminal import aligned, escape_controls

FOR_DEVELOPMENT = "for development and QA only"

_ACTIONS = {
    "deleted": "deleted",
    "would_delete": "would delete",
    "absent": "already absent",
    "left_and_forgotten": "left and forgotten",
    "would_leave_and_forget": "would leave and forget",
    "declined": "turned down",
    "would_decline": "would turn down",
    "failed": "failed",
}


def render(summary: Summary, *, daemon_runs: bool = False) -> str:
    """Return the summary as text, ending with a newline; `daemon_runs` is for a dry run beside a daemon."""
    return "\n".join(_lines(summary, daemon_runs)) + "\n"


def _lines(summary: Summary, daemon_runs: bool) -> Iterator[str]:
    is_local = summary.mode is Mode.LOCAL_ONLY
    dry = "; dry run: nothing is changed" if summary.dry_run else ""
    yield f"reset --mode {summary.mode}, {FOR_DEVELOPMENT}{dry}"
    if daemon_runs:
        yield "A daemon is running: the real run refuses (exit 5) until it is stopped."
    yield ""
    yield "Local"
    yield from _table(summary.local)
    if not is_local:
        yield "  nothing: this mode leaves local files as they are"
    yield ""
    yield "Server"
    yield from _table(summary.server)
    if is_local:
        yield "  nothing: this mode leaves the bot's rooms as they are"
    elif summary.server:
        yield "  No room is deleted on the server: its other members keep it."
    else:
        yield "  nothing: the bot is in no room, and invited to none"
    yield ""
    yield "Manual steps, in a Matrix client"
    for number, step in enumerate(summary.manual_steps, start=1):
        yield f"  {number}. {step}"


def _table(lines: tuple[LocalLine, ...] | tuple[ServerLine, ...]) -> Iterator[str]:
    for cells in aligned([(_ACTIONS[line.action], _subject(line)) for line in lines]):
        yield f"  {'  '.join(cells)}"


def _subject(line: LocalLine | ServerLine) -> str:
    match line:
        case LocalLine():
            subject = str(line.path)
        case ServerLine():
            subject = f"{line.room_id}  {line.name or '(no name)'}"
        case _:
            assert_never(line)
    return escape_controls(f"{subject} — {line.error}" if line.error is not None else subject)

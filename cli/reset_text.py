"""What `reset` tells people: always three parts, and always that it is no tool for production (contract X4)."""

from collections.abc import Iterator

from cli.reset_plan import LocalLine, Mode, ServerLine, Summary
from cli.terminal import escape_controls

FOR_DEVELOPMENT = "for development and QA only"

_WORDS = {
    "deleted": "deleted",
    "would_delete": "would delete",
    "absent": "already absent",
    "left_and_forgotten": "left and forgotten",
    "would_leave_and_forget": "would leave and forget",
    "declined": "turned down",
    "would_decline": "would turn down",
    "failed": "failed",
}


def page(summary: Summary) -> str:
    """Return the summary as text, ending with a newline."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    dry = "; dry run: nothing is changed" if summary.dry_run else ""
    yield f"reset --mode {summary.mode}, {FOR_DEVELOPMENT}{dry}"
    yield ""
    yield "Local"
    if summary.mode is Mode.LOCAL_ONLY:
        yield from _table(_local(line) for line in summary.local)
    else:
        yield "  nothing: this mode leaves local files as they are"
    yield ""
    yield "Server"
    if summary.mode is Mode.LOCAL_ONLY:
        yield "  nothing: this mode leaves the bot's rooms as they are"
    elif not summary.server:
        yield "  nothing: the bot is in no room, and invited to none"
    else:
        yield from _table(_server(line) for line in summary.server)
        yield "  No room is deleted on the server: who else is in one keeps it."
    yield ""
    yield "Manual steps, in a Matrix client"
    for number, step in enumerate(summary.manual_steps, start=1):
        yield f"  {number}. {step}"


def _local(line: LocalLine) -> tuple[str, str]:
    return _WORDS[line.action], f"{line.path}{_why(line.error)}"


def _server(line: ServerLine) -> tuple[str, str]:
    return _WORDS[line.action], f"{line.room_id}  {line.name or '(no name)'}{_why(line.error)}"


def _why(error: str | None) -> str:
    return f" — {error}" if error is not None else ""


def _table(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    kept = list(rows)
    width = max(len(action) for action, _ in kept)
    for action, what in kept:
        yield f"  {action:<{width}}  {escape_controls(what)}"

"""The command line: `surfaces-bot`, also `python -m cli` (contract S3).

Turns every failure into one line on stderr and an exit code (contract S4).
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cli import signals
from cli.diagram import DiagramFormat
from cli.errors import CommandFailed, ExitCode, ending_of, one_line
from cli.logs import silence_logs
from cli.reset_plan import Mode
from cli.terminal import escape_controls
from cli.version import version

app = typer.Typer(
    name="surfaces-bot",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        print(f"surfaces-bot {version()}")
        raise typer.Exit


@app.callback()
def main_command(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Talk to the agents of the Lambda platform from Matrix."""


@app.command()
def run() -> None:
    """Run the daemon until it is stopped by SIGTERM or SIGINT.

    It is configured by environment variables, and by `.env` in the working
    directory, which nobody else should be able to read. MATRIX_HOMESERVER, MATRIX_USER_ID and MATRIX_PASSWORD or
    MATRIX_ACCESS_TOKEN are required; `.env.example` lists all variables. SIGHUP
    makes it read the agents file again.

    After a stop or a kill, just start it again.
    """
    with signals.blocked():
        from cli.run import run_daemon

        run_daemon()


@app.command("inspect-room")
def inspect_room(
    room: Annotated[
        str | None,
        typer.Argument(
            metavar="ROOM_ID",
            help="The room: its id, an alias such as #name:example.org, its name, or a chat number"
            " such as C1; without one, the bot and all rooms.",
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help="Only rooms of this owner, as @anna:example.org or anna, where several have the same"
            " name or number.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of text.")
    ] = False,
    diagram: Annotated[
        DiagramFormat | None,
        typer.Option(help="Draw the room's state machine instead, with the current state marked."),
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server",
            help="Also ask the homeserver, with the daemon's session, and show the differences.",
        ),
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="How many transitions to show; default: 12, with --json 100."
        ),
    ] = None,
) -> None:
    """Show a room: its state and the reason, its binding, what waits, its turns.

    Reads the database at MATRIX_DB_PATH and changes nothing; the daemon may
    be running, stopped or dead. --server and an alias ask the homeserver, with
    the session at MATRIX_STORE_PATH. Where several rooms are meant, all are
    listed (exit 2).

    With --json, times are ISO 8601 in UTC; --diagram and --server add the
    keys `diagram` and `server`.
    """
    from cli.inspect_room import inspect_room as inspect

    inspect(room, user=user, as_json=as_json, diagram=diagram, server=server, last=last)


@app.command()
def reset(
    mode: Annotated[
        Mode,
        typer.Option(
            help="local-only removes MATRIX_DB_PATH and MATRIX_STORE_PATH without a question;"
            " server-leave-forget leaves all rooms of the bot, turns down all its invitations, and"
            " keeps local files."
        ),
    ] = Mode.LOCAL_ONLY,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Change nothing; show exactly what a real run would do."),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Do not ask for confirmation of server-leave-forget; required in scripts."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
) -> None:
    """Start over, for development and QA only: a restart never needs it.

    Refuses while a daemon holds the database; --dry-run works beside it.
    local-only deletes only files that are known to be the bot's own, and
    nothing through a symbolic link. No room is deleted on the server: people
    leave or archive their rooms in their own clients, as the summary says.

    server-leave-forget needs MATRIX_HOMESERVER, MATRIX_USER_ID and
    MATRIX_PASSWORD or MATRIX_ACCESS_TOKEN, and --yes where there is no
    terminal for the confirmation.
    """
    from cli.reset import reset as start_over

    start_over(mode=mode, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def demo(
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Keep running at the end, and print how to log in with a Matrix client."
        ),
    ] = False,
) -> None:
    """Show a first conversation on a real homeserver on this machine, with a kill in the middle.

    Needs the `demo` extra (Synapse). Uses loopback only and leaves no files behind.
    """
    from cli.demo import run_demo

    run_demo(keep=keep)


def main() -> None:
    """Run a command; end with an exit code of contract S4."""
    silence_logs()  # until `run` sets them up
    try:
        # Typer returns an exit code only for Ctrl-C.
        if app(standalone_mode=False):
            _fail(ExitCode.FAULT, "interrupted")
    except CommandFailed as failure:
        _fail(failure.code, failure.summary, failure.lines)
    except typer.Exit as exit_:
        sys.exit(exit_.exit_code)
    except typer.Abort:
        _fail(ExitCode.FAULT, "aborted")
    except KeyboardInterrupt:
        _fail(ExitCode.FAULT, "interrupted")
    # Broad, because every fault of this program becomes an exit code.
    except Exception as error:  # noqa: BLE001
        if hasattr(error, "format_message"):
            # Without any argument Typer has printed the help, and the message is empty.
            message = error.format_message() or "there is no command to run"
            message = message.replace("Value error, ", "").rstrip(".")  # a phrase of a library
            _fail(ExitCode.USAGE, f"{message} (see --help)")
        _fail(*ending_of(error))


def _fail(code: ExitCode, message: str, lines: Sequence[str] = ()) -> None:
    """Print one line (contract S4); on a terminal a list has an item on each line (contract E10).

    It may quote a homeserver, so control characters are escaped.
    """
    if lines and sys.stderr is not None and sys.stderr.isatty():
        texts = [f"{message}:", *(f"  {' '.join(line.split())}" for line in lines)]
    else:
        texts = [" ".join(one_line(message, lines).split())]
    text = "\n".join(map(escape_controls, texts))
    print(f"surfaces-bot: {text}", file=sys.stderr)
    sys.exit(code)

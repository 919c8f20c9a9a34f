"""The command line: `surfaces-bot`, also `python -m cli` (contract S3).

A failure is one line on stderr and an exit code of contract S4; nothing else decides either.
"""

import sys
from typing import Annotated

import typer

from cli import signals
from cli.diagram import DiagramFormat
from cli.errors import CommandFailed, ExitCode
from cli.reset_plan import Mode

app = typer.Typer(
    name="surfaces-bot",
    help="Talk to the agents of the Lambda platform from Matrix.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Talk to the agents of the Lambda platform from Matrix."""


@app.command()
def run() -> None:
    """Run the daemon until it is stopped by SIGTERM or SIGINT.

    It is configured by the environment, and by `.env` in the working directory.
    MATRIX_HOMESERVER, MATRIX_USER_ID and MATRIX_PASSWORD or MATRIX_ACCESS_TOKEN
    are needed; `.env.example` lists the rest. SIGHUP reads the agents file again.

    A stopped or killed daemon is simply started again.
    """
    with signals.blocked():
        from cli.run import run_daemon

        run_daemon()


@app.command("inspect-room")
def inspect_room(
    room_id: Annotated[
        str | None,
        typer.Argument(metavar="ROOM_ID", help="The room; without one, the bot and all rooms."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a page.")
    ] = False,
    diagram: Annotated[
        DiagramFormat | None,
        typer.Option(help="Draw the room's machine instead, its current state marked."),
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server",
            help="Also ask the homeserver, with the daemon's session, and show what differs.",
        ),
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many transitions to show: 12 on the page, 100 with --json, unless told.",
        ),
    ] = None,
) -> None:
    """Show a room: its state and why, its binding, what waits, the turn in hand.

    Reads the database at MATRIX_DB_PATH and changes nothing; the daemon may
    be running, stopped or dead. --server also needs MATRIX_STORE_PATH.

    With --json, times are ISO 8601 in UTC; --diagram and --server add what
    they have to say as `diagram` and `server`.
    """
    from cli.inspect_room import inspect_room as inspect

    inspect(room_id, as_json=as_json, diagram=diagram, server=server, last=last)


@app.command()
def reset(
    mode: Annotated[
        Mode,
        typer.Option(
            help="local-only removes MATRIX_DB_PATH and MATRIX_STORE_PATH and asks nothing;"
            " server-leave-forget takes the bot out of all its rooms and turns all its invitations"
            " down, and leaves local files as they are."
        ),
    ] = Mode.LOCAL_ONLY,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; show exactly what would be done.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Do not ask to confirm server-leave-forget; needed in scripts."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
) -> None:
    """Start over, for development and QA only: never needed for a restart.

    Refuses while a daemon holds the database; --dry-run works beside it.
    local-only deletes only what is known to be the bot's own, and nothing
    through a symbolic link. No room is ever deleted on the server: people
    leave or archive theirs in their own clients, as the summary says.

    server-leave-forget needs MATRIX_HOMESERVER, MATRIX_USER_ID and
    MATRIX_PASSWORD or MATRIX_ACCESS_TOKEN. Without a terminal to confirm it
    on, it needs --yes.
    """
    from cli.reset import reset as start_over

    start_over(mode=mode, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def demo(
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Stay up at the end and print how a Matrix client can log in."),
    ] = False,
) -> None:
    """Show a first conversation on a real homeserver on this machine, with a kill in the middle.

    Needs the `demo` extra (Synapse). Uses loopback only and leaves no files behind.
    """
    from cli.demo import run_demo

    run_demo(keep=keep)


def main() -> None:
    """Run a command; end with an exit code of contract S4."""
    try:
        # Typer returns the code of an exit of its own making; there is one for Ctrl-C only.
        if app(standalone_mode=False):
            _fail(ExitCode.FAULT, "interrupted")
    except CommandFailed as failure:
        _fail(failure.code, str(failure))
    except typer.Exit as exit_:
        sys.exit(exit_.exit_code)
    except typer.Abort:
        _fail(ExitCode.FAULT, "aborted")
    except KeyboardInterrupt:
        _fail(ExitCode.FAULT, "interrupted")
    # Broad, because it is the last: a fault of this program becomes an exit code here.
    except Exception as error:  # noqa: BLE001
        if hasattr(error, "format_message"):
            # Called without anything, it has shown its help, and has nothing more to say.
            message = error.format_message() or "there is no command to run"
            _fail(ExitCode.USAGE, f"{message} (see --help)")
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
        _fail(
            ExitCode.FAULT,
            f"a fault in this program, {type(error).__name__} at {place}; please report it",
        )


def _fail(code: ExitCode, message: str) -> None:
    print(f"surfaces-bot: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)

"""`surfaces-bot reset`: removes local files, or leaves all rooms (contract section 12).

For development and QA only. A restart never needs it: the bot finds its rooms by itself.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from anyio.from_thread import BlockingPortal, start_blocking_portal
from rich.console import Console

from cli.errors import CommandFailed, ExitCode
from cli.reset_files import ResetPaths, own_files, stored_device
from cli.reset_plan import (
    Mode,
    ServerLine,
    Summary,
    delete_files,
    leave_rooms,
    plan_local,
    plan_server,
)
from cli.reset_text import FOR_DEVELOPMENT, render
from cli.settings import AccountSettings, LocalPaths, load
from cli.terminal import closed_stdout_allowed, counted, replace_unencodable
from machines.errors import CredentialsRefused
from machines.ids import RoomId
from matrix.errors import HomeserverUnreachable, RequestRefused, SessionUnusable
from matrix.rooms.leave import leave_and_forget, memberships
from matrix.session.one_shot import OneShotClient, any_session
from store import DaemonLock, DatabaseLocked
from store.errors import DatabaseForeign
from store.lock import lock_path, refuse_if_held

CONFIRMATION = "leave"


def reset(*, mode: Mode, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Reset, or show what a reset would do, and print the summary.

    Raises:
        CommandFailed: it was refused (2, 3, 5), or succeeded only in part (1).
    """
    replace_unencodable()
    is_local = mode is Mode.LOCAL_ONLY
    summary, holder = _reset_local(dry_run) if is_local else _reset_server(dry_run, yes)
    with closed_stdout_allowed():
        if as_json:
            print(json.dumps(summary.as_object(), indent=2))
        else:
            print(render(summary, daemon_runs=holder is not None), end="")
    if holder is not None:
        print(f"{holder}; the real run refuses (exit 5) until that is stopped", file=sys.stderr)
    for file in summary.local:
        if file.action == "failed":
            raise CommandFailed(
                ExitCode.FAULT,
                f"{file.path}: {file.error}; correct that, perhaps its permissions, and run the reset"
                " again",
            )
    rooms_failed = sum(room.action == "failed" for room in summary.server)
    if rooms_failed:
        raise CommandFailed(
            ExitCode.FAULT,
            f"{rooms_failed} of {counted(len(summary.server), 'room')} could not be left; the summary says why:"
            " correct that and run the reset again, the others are done",
        )


def _reset_local(dry_run: bool) -> tuple[Summary, DatabaseLocked | None]:
    paths = ResetPaths()
    holder = _refuse_daemon(paths, dry_run)
    if not dry_run:
        with own_files(paths, lock_exists=False):
            pass  # the check comes first, so that no lock file is created beside files of others
    with _lock_out_daemon(paths, dry_run) as lock_existed, own_files(paths, lock_existed) as own:
        plan = plan_local(own.lines, stored_device(paths.matrix_store_path))
        return plan if dry_run else delete_files(plan, own.delete), holder


def _reset_server(dry_run: bool, yes: bool) -> tuple[Summary, DatabaseLocked | None]:
    settings = load(AccountSettings)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise CommandFailed(
            ExitCode.USAGE,
            "this makes the bot leave all its rooms, and there is no terminal to confirm it on; run it"
            " with --dry-run first, then with --yes",
        )
    holder = _refuse_daemon(settings, dry_run)
    # The portal runs the event loop in a thread, so that Ctrl-C works at the question.
    with (
        _lock_out_daemon(settings, dry_run),
        _errors_translated(),
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(any_session(settings.account())) as client,
    ):
        plan = plan_server(
            ServerLine(
                room.room_id,
                room.name,
                "would_decline" if room.invited else "would_leave_and_forget",
            )
            for room in portal.call(memberships, client)
        )
        if dry_run:
            return plan, holder
        if not yes:
            _confirm(plan, settings.matrix_user_id)
        return _leave_rooms(plan, portal, client), holder


def _leave_rooms(plan: Summary, portal: BlockingPortal, client: OneShotClient) -> Summary:
    """Leave one room after the other; when the homeserver stops responding, the remaining ones fail too."""
    unreachable: str | None = None

    def leave(room_id: RoomId) -> str | None:
        nonlocal unreachable
        if unreachable is None:
            status.update(f"leaving {room_id}")
            try:
                return portal.call(leave_and_forget, client, room_id)
            except HomeserverUnreachable as error:
                unreachable = str(error)
        return unreachable

    with Console(stderr=True).status("") as status:
        return leave_rooms(plan, leave)


def _confirm(plan: Summary, user_id: str) -> None:
    """Show the plan and ask for a typed confirmation, on stderr because stdout is for the summary.

    Raises:
        CommandFailed: something else was typed.
    """
    print(render(plan), file=sys.stderr)
    print(
        f"Nothing is done yet. {counted(len(plan.server), 'room')} will be left, {FOR_DEVELOPMENT}; the bot can't"
        f" rejoin the rooms that it created.\nType {user_id} or {CONFIRMATION} to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    typed = sys.stdin.readline().strip()
    if typed not in (user_id, CONFIRMATION):
        raise CommandFailed(
            ExitCode.USAGE,
            f"not confirmed, so nothing was changed; type {user_id} or {CONFIRMATION}, or use --yes",
        )


def _refuse_daemon(paths: LocalPaths, dry_run: bool) -> DatabaseLocked | None:
    """Refuse while a daemon runs; for a dry run, return why the real run would refuse (contract X5).

    Raises:
        CommandFailed: a daemon holds the database or the store directory.
    """
    try:
        refuse_if_held(paths.matrix_db_path, paths.matrix_store_path)
    except DatabaseLocked as error:
        if not dry_run:
            raise _locked(error) from error
        return error
    return None


@contextmanager
def _lock_out_daemon(paths: LocalPaths, dry_run: bool) -> Iterator[bool]:
    """Prevent that a daemon starts meanwhile; yield whether there was a lock file before.

    A dry run creates no file. A lock file that is created here is removed again; an older one is part of the plan.
    """
    database = paths.matrix_db_path
    existed = os.path.lexists(lock_path(database))  # unlike `Path.exists`, it accepts every path
    with ExitStack() as stack:
        try:
            if not dry_run and database.parent.is_dir():
                lock = DaemonLock(database, paths.matrix_store_path, writes_pid=False)
                stack.enter_context(lock)
                if not existed:
                    stack.callback(lock.remove)
        except DatabaseLocked as error:
            raise _locked(error) from error
        except DatabaseForeign as error:
            raise CommandFailed(
                ExitCode.USAGE,
                f"MATRIX_DB_PATH: {error}; nothing was done, remove the file yourself",
            ) from error
        except OSError as error:
            raise CommandFailed(
                ExitCode.DATABASE,
                f"MATRIX_DB_PATH: the lock file {error.filename} can't be created ({error.strerror});"
                " correct the permissions of its directory",
            ) from error
        yield existed


def _locked(error: DatabaseLocked) -> CommandFailed:
    return CommandFailed(
        ExitCode.LOCKED, f"{error}; stop it first: a reset can't run beside a daemon"
    )


@contextmanager
def _errors_translated() -> Iterator[None]:
    """Turn errors of the homeserver and of the stored session into exit codes (contract S4)."""
    try:
        yield
    except CredentialsRefused as error:
        raise CommandFailed(ExitCode.CREDENTIALS, str(error)) from error
    except SessionUnusable as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    except HomeserverUnreachable as error:
        raise CommandFailed(
            ExitCode.FAULT, f"{error}; check that it runs, and run the reset again"
        ) from error
    except RequestRefused as error:
        raise CommandFailed(
            ExitCode.FAULT, f"the homeserver does not list the rooms of the bot: {error}"
        ) from error

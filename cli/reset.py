"""`surfaces-bot reset`: start over, on this machine or on the homeserver (contract section 12).

For development and QA. A normal restart needs none of this: the bot finds its rooms again by itself.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from rich.console import Console
from rich.status import Status

from cli.errors import CommandFailed, ExitCode
from cli.printable import for_whoever_reads, use_any_encoding
from cli.reset_files import ResetPlaces, kept_device, own_files
from cli.reset_page import FOR_DEVELOPMENT, page
from cli.reset_plan import Mode, OwnRoom, Plan, Summary, carry_out, plan_local, plan_server, preview
from cli.settings import Places, load_account
from machines.errors import CredentialsRefused
from machines.ids import RoomId, UserId
from matrix import Account
from matrix.errors import HomeserverUnreachable, RequestRefused, SessionUnusable
from matrix.rooms.leave import leave_and_forget, memberships
from matrix.session.one_shot import OneShotClient, any_session
from store import DaemonLock, DatabaseLocked
from store.errors import DatabaseForeign
from store.lock import lock_path, refuse_if_held

CONFIRMATION = "leave"


def reset(*, mode: Mode, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Reset, or say what a reset would do, and print the summary.

    Raises:
        CommandFailed: it was refused (2, 3, 5), or not all of it could be done (1).
    """
    use_any_encoding()
    summary = _reset_local(dry_run) if mode is Mode.LOCAL_ONLY else _reset_server(dry_run, yes)
    with for_whoever_reads():
        text = f"{json.dumps(summary.as_object(), indent=2)}\n" if as_json else page(summary)
        print(text, end="")
    file = summary.first_file_failed
    if file is not None:
        raise CommandFailed(
            ExitCode.FAULT,
            f"{file.path}: {file.error}; mend that, its permissions perhaps, and run the reset again",
        )
    if summary.rooms_failed:
        raise CommandFailed(
            ExitCode.FAULT,
            f"{summary.rooms_failed} of {len(summary.server)} rooms could not be left; the summary says why:"
            " mend that and run it again, the others are done",
        )


def _reset_local(dry_run: bool) -> Summary:
    places = ResetPlaces()
    _look_for_daemon(places, dry_run)
    if not dry_run:
        with own_files(places, lock_exists=False):
            pass  # what is not ours is refused before a lock file is made beside it
    with _daemon_kept_out(places, dry_run) as lock_existed, own_files(places, lock_existed) as own:
        plan = plan_local(own.files, kept_device(places.matrix_store_path))
        return preview(plan) if dry_run else carry_out(plan, own.delete, _leave_nothing)


def _reset_server(dry_run: bool, yes: bool) -> Summary:
    settings = load_account()
    if not (dry_run or yes or sys.stdin.isatty()):
        raise CommandFailed(
            ExitCode.USAGE,
            "this takes the bot out of all its rooms, and there is no terminal to confirm it on; look at"
            " it with --dry-run first, then run it with --yes",
        )
    password, token = settings.matrix_password, settings.matrix_access_token
    account = Account(
        homeserver=settings.matrix_homeserver,
        user_id=UserId(settings.matrix_user_id),
        store_path=settings.matrix_store_path,
        password=password.get_secret_value() if password else None,
        access_token=token.get_secret_value() if token else None,
    )
    _look_for_daemon(settings, dry_run)
    with (
        _daemon_kept_out(settings, dry_run),
        _remote_faults(),
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(any_session(account)) as errand,
    ):
        rooms = portal.call(memberships, errand)
        plan = plan_server(OwnRoom(room.room_id, room.name, room.invited) for room in rooms)
        if dry_run:
            return preview(plan)
        if not yes:
            _confirm(plan, account.user_id)
        with Console(stderr=True).status("") as status:
            return carry_out(plan, _delete_nothing, _Leaving(portal, errand, status))


class _Leaving:
    """Leaves one room after the other; once the homeserver is gone, the rest has failed too."""

    def __init__(self, portal: BlockingPortal, errand: OneShotClient, status: Status) -> None:
        self._portal = portal
        self._errand = errand
        self._status = status
        self._gone: str | None = None

    def __call__(self, room_id: RoomId) -> str | None:
        if self._gone is None:
            self._status.update(f"leaving {room_id}")
            try:
                return self._portal.call(leave_and_forget, self._errand, room_id)
            except HomeserverUnreachable as error:
                self._gone = str(error)
        return self._gone


def _leave_nothing(room_id: RoomId) -> str | None:
    raise AssertionError(f"a local reset leaves no room, and {room_id} neither")


def _delete_nothing(path: Path) -> None:
    raise AssertionError(f"a reset on the server deletes no file, and {path} neither")


def _confirm(plan: Plan, user_id: str) -> None:
    """Show the plan and have it confirmed in writing; all on stderr, stdout is for the summary.

    Raises:
        CommandFailed: something else was typed.
    """
    print(page(preview(plan)), file=sys.stderr)
    print(
        f"Nothing is done yet. {len(plan.rooms)} rooms will be left, {FOR_DEVELOPMENT}; rooms that the"
        f" bot made can't be entered again.\nType {user_id} or {CONFIRMATION} to go on: ",
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


def _look_for_daemon(places: Places, dry_run: bool) -> None:
    """Refuse beside a daemon; a dry run works there too, and says what the real run would do (contract X5).

    Raises:
        CommandFailed: a daemon holds the database or the store directory.
    """
    try:
        refuse_if_held(places.matrix_db_path, places.matrix_store_path)
    except DatabaseLocked as error:
        if not dry_run:
            raise _beside_a_daemon(error) from error
        print(f"{error}; the real run will refuse until that is stopped", file=sys.stderr)


@contextmanager
def _daemon_kept_out(places: Places, dry_run: bool) -> Iterator[bool]:
    """Keep a daemon from starting meanwhile; yields whether there was a lock file before.

    A dry run makes no file. A lock file that was made here is removed again; one that was there is the
    plan's to remove.
    """
    database = places.matrix_db_path
    existed = os.path.lexists(lock_path(database))  # unlike `exists`, for any path there may be
    with ExitStack() as stack:
        try:
            if not dry_run and database.parent.is_dir():
                lock = DaemonLock(database, places.matrix_store_path, signs=False)
                stack.enter_context(lock)
                if not existed:
                    stack.callback(lock.remove)
        except DatabaseLocked as error:
            raise _beside_a_daemon(error) from error
        except DatabaseForeign as error:
            raise CommandFailed(
                ExitCode.USAGE, f"MATRIX_DB_PATH: {error}; nothing was done, remove it yourself"
            ) from error
        except OSError as error:
            raise CommandFailed(
                ExitCode.DATABASE,
                f"MATRIX_DB_PATH: the lock file {error.filename} can't be made ({error.strerror}); mend"
                " the permissions of its directory",
            ) from error
        yield existed


def _beside_a_daemon(error: DatabaseLocked) -> CommandFailed:
    return CommandFailed(
        ExitCode.LOCKED, f"{error}; stop it first: a reset and a daemon do not go together"
    )


@contextmanager
def _remote_faults() -> Iterator[None]:
    """Turn what the homeserver and the kept session may say into exit codes of contract S4."""
    try:
        yield
    except CredentialsRefused as error:
        raise CommandFailed(ExitCode.CREDENTIALS, str(error)) from error
    except SessionUnusable as error:
        raise CommandFailed(ExitCode.USAGE, str(error)) from error
    except HomeserverUnreachable as error:
        raise CommandFailed(
            ExitCode.FAULT, f"{error}; see that it runs and run the reset again"
        ) from error
    except RequestRefused as error:
        raise CommandFailed(
            ExitCode.FAULT, f"the homeserver does not say which rooms the bot is in: {error}"
        ) from error

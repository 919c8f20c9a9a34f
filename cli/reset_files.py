"""The files of a local reset: which they are, which it will not touch, and how they go (contract X1).

A reset asks nothing, so a mistyped path must not cost anybody his files. What it refuses: symbolic links, what is
of another kind than ours, a directory that other things of this set-up are in, and a directory that the daemon
would never have used (contract E2) and that holds no session of it.
"""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.errors import CommandFailed, ExitCode
from cli.reset_plan import LocalFile
from cli.settings import Places
from machines.ids import DeviceId
from matrix.errors import SessionUnusable
from matrix.session import SESSION_FILE, SessionFile
from store.lock import lock_path

_SIDE_FILES = ("-wal", "-shm", "-journal")


class ResetPlaces(Places):
    """The two paths to remove, and what must not be inside the second."""

    matrix_agent_registry_path: Path | None = None
    surfaces_workspace_dir: Path = Path("/agents")


def local_files(places: ResetPlaces, lock_exists: bool) -> tuple[LocalFile, ...]:
    """Return the files in the order in which they are to go; side files only where there are any.

    The database goes before its side files: what is left after an interruption is then no database
    with a part of its last writes missing. The lock goes last, because it is held until then.

    Raises:
        CommandFailed: a path is not ours to remove.
    """
    database, store = places.matrix_db_path, places.matrix_store_path
    faults = [*_database_faults(database), *_store_faults(store, places)]
    if faults:
        raise CommandFailed(ExitCode.USAGE, f"nothing was removed: {'; '.join(faults)}")
    sides = (database.with_name(database.name + suffix) for suffix in _SIDE_FILES)
    lock = (LocalFile(lock_path(database), True),) if lock_exists else ()
    return (
        LocalFile(database, database.exists()),
        *(LocalFile(side, True) for side in sides if side.exists()),
        LocalFile(store, store.exists()),
        *lock,
    )


def delete(path: Path) -> None:
    """Remove a file or a whole directory; what is gone already is fine.

    Raises:
        OSError: it can't be removed.
    """
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        # A volume is mounted there: it can only be emptied.
        if error.errno != errno.EBUSY or any(path.iterdir()):
            raise


def kept_device(store: Path) -> DeviceId | None:
    """Return the device whose session is kept in a store directory, if one is."""
    try:
        kept = SessionFile(store).read()
    except SessionUnusable:
        return None
    return kept.device_id if kept is not None and kept.access_token is not None else None


def _database_faults(path: Path) -> Iterator[str]:
    if path.is_symlink():
        yield _link_fault("MATRIX_DB_PATH", path)
    elif path.exists() and not path.is_file():
        yield f"MATRIX_DB_PATH: {path} is not a file; set it to the daemon's database"


def _store_faults(path: Path, places: ResetPlaces) -> Iterator[str]:
    if path.is_symlink():
        yield _link_fault("MATRIX_STORE_PATH", path)
        return
    real = path.resolve()
    inside = next((what for what, place in _neighbours(places) if place.is_relative_to(real)), None)
    if inside is not None:
        yield (
            f"MATRIX_STORE_PATH: {inside} is in {path}; set it to a directory of its own, as the"
            " daemon's is"
        )
    elif path.exists() and not path.is_dir():
        yield f"MATRIX_STORE_PATH: {path} is not a directory; set it to the daemon's own"
    elif path.exists() and _is_foreign(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        yield (
            f"MATRIX_STORE_PATH: {path} has mode {mode:04o} and no {SESSION_FILE}, so it was never the"
            " daemon's; set it to the right one, or remove it yourself"
        )


def _neighbours(places: ResetPlaces) -> Iterator[tuple[str, Path]]:
    """Yield what must not be inside the directory to remove; `/` and its like have all of it inside."""
    yield "the working directory", Path.cwd()
    yield "the home directory", Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - never raises
    yield "this program", Path(__file__).resolve()
    yield "its Python", Path(sys.prefix).resolve()
    yield "SURFACES_WORKSPACE_DIR", places.surfaces_workspace_dir.resolve()
    if places.matrix_agent_registry_path is not None:
        yield "MATRIX_AGENT_REGISTRY_PATH", places.matrix_agent_registry_path.resolve()


def _is_foreign(path: Path) -> bool:
    loose = bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    return loose and any(path.iterdir()) and not (path / SESSION_FILE).exists()


def _link_fault(variable: str, path: Path) -> str:
    return (
        f"{variable}: {path} is a symbolic link; set it to what it points to, or remove it yourself"
    )

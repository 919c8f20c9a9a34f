"""The files of a local reset: which they are, which it will not touch, and how they go (contracts X1, X7).

A reset asks nothing, so a mistyped path must not cost people their files. It deletes a database that is known to be
this program's, with its side files and lock, and a store directory that holds nothing but the bot's session. It
refuses everything else at these paths, and every path that leads through a symbolic link.
"""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli.errors import CommandFailed, ExitCode
from cli.held_paths import Held, LinkOnTheWay, hold, hold_directory
from cli.reset_plan import LocalFile
from cli.settings import Places
from machines.ids import DeviceId
from matrix.errors import SessionUnusable
from matrix.session.file import SessionFile, is_own_file_of_store
from store.errors import DatabaseUnusable
from store.lock import is_lock_content
from store.ownership import is_own_file

_SIDE_FILES = ("-wal", "-shm", "-journal")
_LOCK = ".lock"
_DATABASE = "MATRIX_DB_PATH"
_STORE = "MATRIX_STORE_PATH"
_MOST_BYTES = 1024 * 1024
_NAMED = 5


class ResetPlaces(Places):
    """The two paths to remove, and what must not be inside the second."""

    matrix_agent_registry_path: Path | None = None
    surfaces_workspace_dir: Path = Path("/agents")


class OwnFiles:
    """What a local reset may delete, held open from the check to the deletion."""

    def __init__(
        self, files: tuple[LocalFile, ...], held: dict[Path, Held], contents: tuple[Held, ...]
    ) -> None:
        self.files = files
        """All that is listed, in the order in which it is to go."""
        self._held = held
        self._contents = contents

    def delete(self, path: Path) -> None:
        """Remove a file, or the store directory with what it was found to hold; what is gone already is fine.

        Raises:
            OSError: it can't be removed, or is no longer what it was.
        """
        held = self._held[path]
        if not stat.S_ISDIR(held.mode):
            held.unlink()
            return
        for content in self._contents:
            content.unlink()
        held.remove_directory()


@contextmanager
def own_files(places: ResetPlaces, lock_exists: bool) -> Iterator[OwnFiles]:
    """Hold the files in the order in which they are to go; side files only where there are any.

    The database goes before its side files: what is left after an interruption is then no database
    with a part of its last writes missing. The lock goes last, because it is held until then;
    `lock_exists` says that it was there before this command.

    Raises:
        CommandFailed: something at a path is not ours to remove.
    """
    with ExitStack() as stack:
        check = _Check(stack)
        database = check.database(places.matrix_db_path)
        check.store(places)
        if check.faults:
            raise CommandFailed(
                ExitCode.USAGE, f"nothing was removed: {'; '.join(dict.fromkeys(check.faults))}"
            )
        lock = _beside(places.matrix_db_path, _LOCK)
        order = [places.matrix_db_path, places.matrix_store_path]
        order[1:1] = [path for path in database if path not in (lock, *order)]
        if lock_exists and lock in check.held:
            order.append(lock)
        files = tuple(LocalFile(path, path in check.held) for path in order)
        yield OwnFiles(files, check.held, tuple(check.contents))


def kept_device(store: Path) -> DeviceId | None:
    """Return the device whose session is kept in a store directory, if one is."""
    try:
        kept = SessionFile(store).read()
    except SessionUnusable:
        return None
    return kept.device_id if kept is not None and kept.access_token is not None else None


class _Check:
    """Looks at everything once, and notes each fault with the variable it belongs to."""

    def __init__(self, stack: ExitStack) -> None:
        self.faults: list[str] = []
        self.held: dict[Path, Held] = {}
        self.contents: list[Held] = []
        """What the store directory holds."""
        self._stack = stack

    def database(self, path: Path) -> tuple[Path, ...]:
        """Check the database and what stands beside it; returns what there is."""
        names = [path, *(_beside(path, suffix) for suffix in (*_SIDE_FILES, _LOCK))]
        with self._faults_of(_DATABASE, path):
            if path.name in ("", ".."):
                self._fault(_DATABASE, path, "is not a file; set it to the daemon's database")
                return ()
            directory = hold_directory(path.parent, self._stack)
            if directory is None:
                return ()
            main = hold(path, directory, self._stack, read=True)
            if main is not None:
                self._check_database(main)
            for side in names[1:]:
                self._check_side_file(side, directory, main is not None)
        return tuple(name for name in names if name in self.held)

    def _check_database(self, main: Held) -> None:
        self.held[main.path] = main
        if not stat.S_ISREG(main.mode):
            self._fault(_DATABASE, main.path, "is not a file; set it to the daemon's database")
        elif os.fstat(main.file).st_size == 0:
            self._fault(
                _DATABASE, main.path, "is empty, so nothing tells whose it is; remove it yourself"
            )
        elif not is_own_file(main.path, main.file):
            self._fault(
                _DATABASE,
                main.path,
                "is not a database of this bot; set it to the daemon's, or remove it yourself",
            )

    def _check_side_file(self, path: Path, directory: int, has_database: bool) -> None:
        is_lock = path.name.endswith(_LOCK)
        held = hold(path, directory, self._stack, read=is_lock)
        if held is None:
            return
        self.held[path] = held
        if not stat.S_ISREG(held.mode):
            self._fault(_DATABASE, path, "is not a file of a database; remove it yourself")
        elif is_lock:
            if not is_lock_content(os.pread(held.file, 32, 0)):
                self._fault(_DATABASE, path, "is not a lock file of this bot; remove it yourself")
        elif not has_database:
            self._fault(
                _DATABASE,
                path,
                "has no database beside it that would tell whose it is; remove it yourself",
            )

    def store(self, places: ResetPlaces) -> None:
        """Check the store directory, and that nothing else of this set-up is in it."""
        path = places.matrix_store_path
        with self._faults_of(_STORE, path):
            real = Path(os.path.realpath(path))
            inside = [what for what, place in _neighbours(places) if place.is_relative_to(real)]
            if inside:
                self._fault(
                    _STORE,
                    path,
                    f"has {inside[0]} in it; set it to a directory of its own, as the daemon's is",
                )
                return
            directory = hold_directory(path.parent, self._stack)
            held = hold(path, directory, self._stack, read=True) if directory is not None else None
            if held is None:
                return
            self.held[path] = held
            if stat.S_ISDIR(held.mode):
                self._check_contents(held)
            else:
                self._fault(_STORE, path, "is not a directory; set it to the daemon's own")

    def _check_contents(self, store: Held) -> None:
        """Accept the session; where the database is in the same directory, it was checked already."""
        checked = [os.fstat(held.file) for path, held in self.held.items() if path != store.path]
        foreign = []
        for name in store.entries():
            try:
                held = hold(store.path / name, store.file, self._stack, read=True)
            except LinkOnTheWay:
                foreign.append(name)
                continue
            if held is None:
                continue
            self.contents.append(held)
            found = os.fstat(held.file)
            if any(os.path.samestat(found, other) for other in checked):
                continue
            regular = stat.S_ISREG(found.st_mode)
            if not (regular and is_own_file_of_store(name, os.pread(held.file, _MOST_BYTES, 0))):
                foreign.append(name)
        if foreign:
            more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
            self._fault(
                _STORE,
                store.path,
                f"holds what is not the bot's: {', '.join(foreign[:_NAMED])}{more}; set it to the"
                " daemon's own, or move that away",
            )

    @contextmanager
    def _faults_of(self, variable: str, path: Path) -> Iterator[None]:
        """Note as a fault what keeps a path from being looked at."""
        try:
            yield
        except LinkOnTheWay as error:
            if error.link.name.startswith(path.name) and error.link.parent == path.parent:
                self._fault(
                    variable,
                    error.link,
                    "is a symbolic link; set it to what it points to, or remove it yourself",
                )
            else:
                real = os.path.realpath(path)
                self._fault(
                    variable,
                    path,
                    f"is reached through the symbolic link {error.link}; set it to {real}",
                )
        except (OSError, sqlite3.Error, DatabaseUnusable) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._fault(variable, path, f"can't be looked into ({reason}), so it is left alone")

    def _fault(self, variable: str, path: Path, what: str) -> None:
        self.faults.append(f"{variable}: {path} {what}")


def _beside(path: Path, suffix: str) -> Path:
    return path.parent / f"{path.name}{suffix}"


def _neighbours(places: ResetPlaces) -> Iterator[tuple[str, Path]]:
    """Yield what must not be inside the directory to remove; `/` and its like have all of it inside."""
    yield "the working directory", Path.cwd()
    yield "the home directory", Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - never raises
    yield "this program", Path(__file__).resolve()
    yield "its Python", Path(sys.prefix).resolve()
    yield "SURFACES_WORKSPACE_DIR", places.surfaces_workspace_dir.resolve()
    if places.matrix_agent_registry_path is not None:
        yield "MATRIX_AGENT_REGISTRY_PATH", places.matrix_agent_registry_path.resolve()

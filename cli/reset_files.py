"""The files that a local reset deletes, and the check that they are the bot's own (contracts X1, X7).

A local reset needs no confirmation, so a mistyped path must not destroy other files. It deletes a database that is
known to be this program's, with its side files and lock, and a store directory that has only the bot's session. All
else at these paths is refused, and so is every path that leads through a symbolic link.
"""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CommandFailed, ExitCode
from cli.open_paths import OpenPath, SymlinkInPath, open_directory, open_entry
from cli.reset_plan import LocalLine
from cli.settings import LocalPaths
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
_MAX_BYTES = 1024 * 1024
_MAX_NAMES = 5
_NO_FILE = "is not a file; set it to the daemon's database"


class ResetPaths(LocalPaths):
    """The two paths to delete, and two that must not be inside the store directory."""

    matrix_agent_registry_path: Path | None = None
    surfaces_workspace_dir: Path = Path("/agents")


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """The files that a local reset may delete, open until the deletion; `lines` are in the order of deletion."""

    lines: tuple[LocalLine, ...]
    _found: Mapping[Path, OpenPath]
    _contents: Sequence[OpenPath]

    def delete(self, path: Path) -> None:
        """Delete a file, or the store directory with its checked files; a missing file is no error.

        Raises:
            OSError: it can't be deleted, or is no longer the checked file.
        """
        found = self._found[path]
        if not stat.S_ISDIR(found.mode):
            found.unlink()
            return
        for content in self._contents:
            content.unlink()
        found.remove_directory()


@contextmanager
def own_files(paths: ResetPaths, lock_exists: bool) -> Iterator[OwnFiles]:
    """Open and check the files; only existing side files are listed.

    The database is deleted before its side files, so that an interruption never leaves a database without its last
    writes. The lock file is deleted last, because it is held until then, and only if it `lock_exists` from before.

    Raises:
        CommandFailed: a file at a path is not the bot's own.
    """
    with ExitStack() as stack:
        check = _Check(stack)
        database = check.database(paths.matrix_db_path)
        check.store(paths)
        if check.faults:
            raise CommandFailed(
                ExitCode.USAGE, f"nothing was removed: {'; '.join(dict.fromkeys(check.faults))}"
            )
        lock = _beside(paths.matrix_db_path, _LOCK)
        order = [paths.matrix_db_path, paths.matrix_store_path]
        order[1:1] = [path for path in database if path not in (lock, *order)]
        if lock_exists and lock in check.found:
            order.append(lock)
        lines = (
            LocalLine(path, "would_delete" if path in check.found else "absent") for path in order
        )
        yield OwnFiles(tuple(lines), check.found, check.contents)


def stored_device(store: Path) -> DeviceId | None:
    """Return the device whose session is in the store directory, if there is one."""
    try:
        session = SessionFile(store).read()
    except SessionUnusable:
        return None
    if session is None or session.access_token is None:
        return None
    return session.device_id


class _Check:
    """Opens every file once, and collects the faults with the names of their variables."""

    def __init__(self, stack: ExitStack) -> None:
        self.faults: list[str] = []
        self.found: dict[Path, OpenPath] = {}
        self.contents: list[OpenPath] = []
        """The files in the store directory."""
        self._stack = stack
        self._variable = ""

    def database(self, path: Path) -> tuple[Path, ...]:
        """Check the database and its side files; return those that exist."""
        names = [path, *(_beside(path, suffix) for suffix in (*_SIDE_FILES, _LOCK))]
        with self._faults_of(_DATABASE, path):
            if path.name in ("", ".."):
                self._fault(path, _NO_FILE)
                return ()
            directory = open_directory(path.parent, self._stack)
            if directory is None:
                return ()
            for name in names:
                is_read = name == path or name.name.endswith(_LOCK)
                entry = open_entry(name, directory, self._stack, read=is_read)
                if entry is None:
                    continue
                self.found[name] = entry
                is_database, has_database = name == path, path in self.found
                fault = (
                    _database_fault(entry) if is_database else _side_file_fault(entry, has_database)
                )
                if fault is not None:
                    self._fault(name, fault)
        return tuple(name for name in names if name in self.found)

    def store(self, paths: ResetPaths) -> None:
        """Check the store directory, and that no other file of this installation is in it."""
        path = paths.matrix_store_path
        with self._faults_of(_STORE, path):
            real = Path(os.path.realpath(path))
            inside = [name for name, other in _protected_paths(paths) if other.is_relative_to(real)]
            if inside:
                self._fault(path, f"contains {inside[0]}; set it to a directory of its own")
                return
            directory = open_directory(path.parent, self._stack)
            if directory is None:
                return
            store = open_entry(path, directory, self._stack, read=True)
            if store is None:
                return
            self.found[path] = store
            if stat.S_ISDIR(store.mode):
                self._check_contents(store)
            else:
                self._fault(path, "is not a directory; set it to the daemon's own")

    def _check_contents(self, store: OpenPath) -> None:
        """Accept only the session, and the database if it is in the same directory and was checked."""
        checked = [os.fstat(entry.file) for path, entry in self.found.items() if path != store.path]
        foreign = []
        for name in store.entries():
            try:
                entry = open_entry(store.path / name, store.file, self._stack, read=True)
            except SymlinkInPath:
                foreign.append(name)
                continue
            if entry is None:
                continue
            self.contents.append(entry)
            found = os.fstat(entry.file)
            if any(os.path.samestat(found, other) for other in checked):
                continue
            regular = stat.S_ISREG(found.st_mode)
            if not (regular and is_own_file_of_store(name, os.pread(entry.file, _MAX_BYTES, 0))):
                foreign.append(name)
        if foreign:
            more = f" and {len(foreign) - _MAX_NAMES} more" if len(foreign) > _MAX_NAMES else ""
            names = f"{', '.join(foreign[:_MAX_NAMES])}{more}"
            self._fault(
                store.path,
                f"contains files that are not the bot's: {names}; set it to the daemon's own, or move"
                " them away",
            )

    @contextmanager
    def _faults_of(self, variable: str, path: Path) -> Iterator[None]:
        """Turn an error in opening the files of a variable into a fault."""
        self._variable = variable
        try:
            yield
        except SymlinkInPath as error:
            if error.link.name.startswith(path.name) and error.link.parent == path.parent:
                advice = "set it to what it points to, or remove it yourself"
                self._fault(error.link, f"is a symbolic link; {advice}")
            else:
                real = os.path.realpath(path)
                self._fault(
                    path, f"is reached through the symbolic link {error.link}; set it to {real}"
                )
        except (OSError, sqlite3.Error, DatabaseUnusable) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._fault(path, f"can't be checked ({reason}), so it is not removed")

    def _fault(self, path: Path, description: str) -> None:
        self.faults.append(f"{self._variable}: {path} {description}")


def _database_fault(database: OpenPath) -> str | None:
    if not stat.S_ISREG(database.mode):
        return _NO_FILE
    if os.fstat(database.file).st_size == 0:
        return "is empty, so nothing shows whose it is; remove it yourself"
    if not is_own_file(database.path, database.file):
        return "is not a database of this bot; set it to the daemon's, or remove it yourself"
    return None


def _side_file_fault(side_file: OpenPath, has_database: bool) -> str | None:
    if not stat.S_ISREG(side_file.mode):
        return "is not a file of a database; remove it yourself"
    if side_file.path.name.endswith(_LOCK):
        if not is_lock_content(os.pread(side_file.file, 32, 0)):
            return "is not a lock file of this bot; remove it yourself"
    elif not has_database:
        return "has no database beside it that would show whose it is; remove it yourself"
    return None


def _beside(path: Path, suffix: str) -> Path:
    return path.parent / f"{path.name}{suffix}"


def _protected_paths(paths: ResetPaths) -> Iterator[tuple[str, Path]]:
    """Yield paths that must not be inside the directory to delete, with their names."""
    yield "the working directory", Path.cwd()
    yield "the home directory", Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - never raises
    yield "this program", Path(__file__).resolve()
    yield "its Python", Path(sys.prefix).resolve()
    yield "SURFACES_WORKSPACE_DIR", paths.surfaces_workspace_dir.resolve()
    if paths.matrix_agent_registry_path is not None:
        yield "MATRIX_AGENT_REGISTRY_PATH", paths.matrix_agent_registry_path.resolve()

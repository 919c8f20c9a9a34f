"""Allows one daemon for a database and a store directory, whatever path leads to them (contract L11).

There are three advisory locks (`flock`), which end with their process however it ends: on the database file itself,
which holds for every hard and symbolic link to it; on the store directory; and on a lock file beside the real
database, which names the process and is the only lock that earlier versions know.

SQLite locks ranges of the database with `fcntl`. On Linux the two kinds of lock are independent, but closing any
descriptor of the file ends SQLite's locks in the same process. So `DaemonLock` is held for longer than the database is
open, and a process that has it open must not call `refuse_if_held`. Where the two kinds are not independent, the file
itself is not locked, and a database with several hard links is refused.
"""

import fcntl
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from store.errors import DatabaseForeign, DatabaseLocked

FLOCK_IS_INDEPENDENT: bool = sys.platform == "linux"
"""Whether `flock` and the locks of SQLite do not affect each other."""

_PROBED_S = 0.05
_TRIES = 5
_OPEN = os.O_CLOEXEC | os.O_NONBLOCK
_CONTENT = re.compile(rb"[0-9]{0,20}\s?")
_ABSENT = (FileNotFoundError, NotADirectoryError)


def lock_path(database: Path) -> Path:
    """Return the lock file beside the real database; symbolic links are resolved."""
    real = Path(os.path.realpath(database))
    return real.parent / f"{real.name}.lock"  # the root has no name, and is refused elsewhere


def is_lock_content(content: bytes) -> bool:
    """Whether a lock file may have this content: nothing, or the number of a process."""
    return _CONTENT.fullmatch(content) is not None


def is_held(database: Path, store: Path | None = None) -> bool:
    """Whether a process has one of the locks; makes no file.

    The only way to ask is to take them: they are held as shared locks for a moment, for which `DaemonLock` waits.
    """
    return _holder(database, store) is not None


def refuse_if_held(database: Path, store: Path | None = None) -> None:
    """Refuse as `DaemonLock` would, without keeping a lock or making a file.

    Raises:
        DatabaseLocked: a process has one of the locks.
    """
    holder = _holder(database, store)
    if holder is not None:
        raise holder


class DaemonLock:
    """A context in which only this process uses the database and, if one is given, the store directory.

    A daemon makes absent files and writes its process id into the lock file; a command that must change nothing sets
    `signs` to false.
    """

    def __init__(self, database: Path, store: Path | None = None, *, signs: bool = True) -> None:
        self._database = database
        self._store = store
        self._signs = signs
        self._taken = ExitStack()

    def __enter__(self) -> "DaemonLock":
        """Take the locks.

        Raises:
            DatabaseLocked: another process has one of them.
            DatabaseForeign: the file in the lock file's place belongs to another program.
            OSError: one of the files can't be made or opened.
        """
        tries = 1
        while True:
            with ExitStack() as taken:
                locked = self._take(taken)
                if locked is None:
                    self._taken = taken.pop_all()
                    return self
            if tries == _TRIES:
                raise locked
            tries += 1
            time.sleep(_PROBED_S / _TRIES)  # a command only asked, or a reset removed the file

    def _take(self, taken: ExitStack) -> DatabaseLocked | None:
        """Take all three locks, or return the error; the lock file comes last, so that a refused process makes none."""
        _refuse_foreign_lock_file(self._database)  # before anything is made beside it
        makes = os.O_CREAT if self._signs else 0
        makes_store = self._store is not None and self._signs and not self._store.exists()
        if self._store is not None and self._signs:
            # Before the database: without a store directory a new database would be left behind.
            self._store.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if not _lock_database(self._database, fcntl.LOCK_EX, makes, taken.callback):
                return _locked(self._database)
        except OSError:
            if self._store is not None and makes_store:
                self._store.rmdir()
            raise
        if self._store is not None and not _lock_store(self._store, fcntl.LOCK_EX, taken.callback):
            return _store_locked(self._store)
        file = _lock_file(self._database, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX, taken.callback)
        if file is None:
            return _locked(self._database)
        if not is_lock_content(os.pread(file, 32, 0)):
            raise DatabaseForeign(f"{lock_path(self._database)} is not a lock file of this bot")
        if self._signs:
            os.truncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        return None

    def remove(self) -> None:
        """Remove the lock file while it is held; a process that has just opened it will notice that it is gone."""
        lock_path(self._database).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the locks; the lock file stays, so that the next daemon locks the same one."""
        self._taken.close()


_Keep = Callable[..., object]
"""Registers what ends a lock: called with `os.close` and the descriptor."""


def _holder(database: Path, store: Path | None) -> DatabaseLocked | None:
    with ExitStack() as shared:
        keep = shared.callback
        try:
            if not _lock_database(database, fcntl.LOCK_SH, 0, keep):
                return _locked(database)
            if store is not None and not _lock_store(store, fcntl.LOCK_SH, keep):
                return _store_locked(store)
        except OSError:
            pass  # this process may not open it; the lock file still tells
        try:
            if _lock_file(database, os.O_RDONLY, fcntl.LOCK_SH, keep) is None:
                return _locked(database)
        except OSError:
            return None  # there is none, or none that this process may read
    return None


def _lock_database(path: Path, how: int, makes: int, keep: _Keep) -> bool:
    """Lock the database file itself; also true where it is absent or no regular file."""
    try:
        file = os.open(path, os.O_RDONLY | makes | _OPEN, 0o600)
    except _ABSENT:
        if makes:
            raise
        return True
    keep(os.close, file)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return True
    if FLOCK_IS_INDEPENDENT:
        return _flock(file, path, how)
    if found.st_nlink > 1:
        raise DatabaseLocked(
            f"{path} has more than one hard link, and this system does not tell whether a daemon uses"
            " another of them"
        )
    return True


def _lock_store(path: Path, how: int, keep: _Keep) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    except _ABSENT:
        return True
    keep(os.close, file)
    return _flock(file, path, how)


def _lock_file(database: Path, flags: int, how: int, keep: _Keep) -> int | None:
    path = lock_path(database)
    file = os.open(path, flags | os.O_NOFOLLOW | _OPEN, 0o600)
    keep(os.close, file)
    return file if _flock(file, path, how) else None


def _refuse_foreign_lock_file(database: Path) -> None:
    path = lock_path(database)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | _OPEN)
    except _ABSENT:
        return
    try:
        regular = stat.S_ISREG(os.fstat(file).st_mode)
        if not (regular and is_lock_content(os.pread(file, 32, 0))):
            raise DatabaseForeign(f"{path} is not a lock file of this bot")
    finally:
        os.close(file)


def _flock(file: int, path: Path, how: int) -> bool:
    """Lock an open file; false if another process has it, or if `path` is another file by now."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return how == fcntl.LOCK_SH or os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _locked(database: Path) -> DatabaseLocked:
    try:
        holder = lock_path(database).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        holder = ""
    who = f" (process {holder})" if holder.isdecimal() else ""
    return DatabaseLocked(f"{database} is held by another daemon{who}")


def _store_locked(store: Path) -> DatabaseLocked:
    return DatabaseLocked(f"{store} (MATRIX_STORE_PATH) is held by another daemon")

"""One daemon a database and a store directory, under whatever name they are reached (contract L11).

Three advisory locks (`flock`), which end with their process however that ends: on the database file itself, which
holds under every hard and symbolic link to it; on the store directory itself; and on a lock file beside the real
database, which names the process and is the one lock that earlier versions know.

SQLite locks ranges of the database with `fcntl`. On Linux that is another kind of lock and the two do not meet, but
closing any descriptor of the file ends SQLite's locks in the same process. So `DaemonLock` surrounds the time in
which the database is open, and looking (`refuse_if_held`) is not for a process that has it open. Where the two kinds
do meet, the file itself is not locked, and a database with several hard links is refused.
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

FLOCK_IS_APART: bool = sys.platform == "linux"
"""Whether `flock` and the locks of SQLite do not meet."""

_PROBED_S = 0.05
_TRIES = 5
_OPEN = os.O_CLOEXEC | os.O_NONBLOCK
_CONTENT = re.compile(rb"[0-9]{0,20}\s?")
_ABSENT = (FileNotFoundError, NotADirectoryError)


def lock_path(database: Path) -> Path:
    """Return the lock file beside the real database, whatever links lead there."""
    real = Path(os.path.realpath(database))
    return real.parent / f"{real.name}.lock"  # the root has no name, and is refused elsewhere


def is_lock_content(content: bytes) -> bool:
    """Whether a lock file may have this content: nothing, or the number of a process."""
    return _CONTENT.fullmatch(content) is not None


def is_held(database: Path, store: Path | None = None) -> bool:
    """Whether a process has one of the locks; makes no file.

    There is no asking without taking: the locks are shared for an instant, which `DaemonLock` waits out.
    """
    return _holder(database, store) is not None


def refuse_if_held(database: Path, store: Path | None = None) -> None:
    """Do what `DaemonLock` would, without taking a lock or making a file.

    Raises:
        DatabaseLocked: a process has one of them.
    """
    holder = _holder(database, store)
    if holder is not None:
        raise holder


class DaemonLock:
    """A context in which this process alone works with the database, and with the store directory if one is named.

    A daemon makes what is absent and leaves its process id in the lock file; a command that is to change nothing
    does not (`signs`).
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
            DatabaseForeign: there is another program's file where the lock file should be.
            OSError: there is no place for one of them.
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
            time.sleep(_PROBED_S / _TRIES)  # somebody only looked, or a reset removed the file

    def _take(self, taken: ExitStack) -> DatabaseLocked | None:
        """Take all three locks, or say which another has; the lock file last, so that who is refused makes none."""
        _refuse_foreign_lock_file(self._database)  # before anything is made beside it
        makes = os.O_CREAT if self._signs else 0
        makes_store = self._store is not None and self._signs and not self._store.exists()
        if self._store is not None and self._signs:
            # Before there is a database: one that nothing can be kept beside would stay behind.
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
        """Remove the lock file while it is held; whoever has just opened it will see that it is gone."""
        lock_path(self._database).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go; the lock file stays, so that the next daemon finds the same one."""
        self._taken.close()


_Keep = Callable[..., object]
"""Told what ends a lock: called with `os.close` and the descriptor."""


def _holder(database: Path, store: Path | None) -> DatabaseLocked | None:
    with ExitStack() as shared:
        keep = shared.callback
        try:
            if not _lock_database(database, fcntl.LOCK_SH, 0, keep):
                return _locked(database)
            if store is not None and not _lock_store(store, fcntl.LOCK_SH, keep):
                return _store_locked(store)
        except OSError:
            pass  # not for this process to open; the lock file is left to tell
        try:
            if _lock_file(database, os.O_RDONLY, fcntl.LOCK_SH, keep) is None:
                return _locked(database)
        except OSError:
            return None  # there is none, or none that this process may read
    return None


def _lock_database(path: Path, how: int, makes: int, keep: _Keep) -> bool:
    """Lock the database file itself; true as well where there is none, or something else in its place."""
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
    if FLOCK_IS_APART:
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
    """Lock an open file; false when another has it, or when it is to be kept and the path leads there no more."""
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

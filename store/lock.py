"""Allows one daemon for a database and a store directory, under any path that leads to them (contract L11).

There are three advisory locks (`flock`), which end with their process however it ends: on the database file itself,
which every hard and symbolic link leads to; on the store directory; and on a lock file next to the real database,
which contains the process id and is the only lock that earlier versions know.

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

_RETRY_FOR_S = 0.05
_TRIES = 5
_OPEN = os.O_CLOEXEC | os.O_NONBLOCK
_CONTENT = re.compile(rb"[0-9]{0,20}\s?")
_ABSENT = (FileNotFoundError, NotADirectoryError)


def lock_path(database: Path) -> Path:
    """Return the lock file next to the real database; symbolic links are resolved."""
    real = Path(os.path.realpath(database))
    return real.parent / f"{real.name}.lock"  # `/` has no name, and is refused elsewhere


def is_lock_content(content: bytes) -> bool:
    """Whether a lock file may have this content: nothing, or a process id."""
    return _CONTENT.fullmatch(content) is not None


def is_held(database: Path, store: Path | None = None) -> bool:
    """Whether a process holds one of the locks; creates no file.

    This acquires shared locks for a moment, for which `DaemonLock` waits: `flock` has no other way to test a lock.
    """
    return _holder(database, store) is not None


def refuse_if_held(database: Path, store: Path | None = None) -> None:
    """Refuse as `DaemonLock` would, without keeping a lock or creating a file.

    Raises:
        DatabaseLocked: a process holds one of the locks.
    """
    holder = _holder(database, store)
    if holder is not None:
        raise holder


class DaemonLock:
    """A context in which only this process uses the database and, if one is given, the store directory.

    A daemon creates absent files and writes its process id into the lock file; a command that must change nothing sets
    `writes_pid` to false.
    """

    def __init__(
        self, database: Path, store: Path | None = None, *, writes_pid: bool = True
    ) -> None:
        self._database = database
        self._store = store
        self._writes_pid = writes_pid
        self._locks = ExitStack()

    def __enter__(self) -> "DaemonLock":
        """Acquire the locks.

        Raises:
            DatabaseLocked: another process holds one of them.
            DatabaseForeign: the file in the lock file's place belongs to another program.
            OSError: one of the files can't be created or opened.
        """
        tries = 1
        while True:
            with ExitStack() as locks:
                locked = self._acquire(locks)
                if locked is None:
                    self._locks = locks.pop_all()
                    return self
            if tries == _TRIES:
                raise locked
            tries += 1
            # A command tested the locks, or a reset removed the file.
            time.sleep(_RETRY_FOR_S / _TRIES)

    def _acquire(self, locks: ExitStack) -> DatabaseLocked | None:
        """Acquire all three locks, or return the error; a refused process creates no lock file, as it is the last."""
        _refuse_foreign_lock_file(self._database)  # before any file is created next to it
        create = os.O_CREAT if self._writes_pid else 0
        creates_store = self._store is not None and self._writes_pid and not self._store.exists()
        if self._store is not None and self._writes_pid:
            # Before the database: if this fails, no new database is left behind.
            self._store.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            if not _lock_database(self._database, fcntl.LOCK_EX, create, locks.callback):
                return _locked(self._database)
        except OSError:
            if self._store is not None and creates_store:
                self._store.rmdir()
            raise
        if self._store is not None and not _lock_store(self._store, fcntl.LOCK_EX, locks.callback):
            return _store_locked(self._store)
        file = _lock_file(self._database, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX, locks.callback)
        if file is None:
            return _locked(self._database)
        if not is_lock_content(os.pread(file, 32, 0)):
            raise DatabaseForeign(f"{lock_path(self._database)} is not a lock file of this bot")
        if self._writes_pid:
            os.truncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        return None

    def remove(self) -> None:
        """Remove the lock file while it is held; a process that has just opened it notices and tries again."""
        lock_path(self._database).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the locks; the lock file stays, so that the next daemon locks the same one."""
        self._locks.close()


_OnExit = Callable[..., object]
"""Registers the release of a lock: called with `os.close` and the descriptor."""


def _holder(database: Path, store: Path | None) -> DatabaseLocked | None:
    with ExitStack() as shared:
        on_exit = shared.callback
        try:
            if not _lock_database(database, fcntl.LOCK_SH, 0, on_exit):
                return _locked(database)
            if store is not None and not _lock_store(store, fcntl.LOCK_SH, on_exit):
                return _store_locked(store)
        except OSError:
            pass  # this process may not open it; test the lock file
        try:
            if _lock_file(database, os.O_RDONLY, fcntl.LOCK_SH, on_exit) is None:
                return _locked(database)
        except OSError:
            return None  # there is no lock file, or this process may not read it
    return None


def _lock_database(path: Path, mode: int, create: int, on_exit: _OnExit) -> bool:
    """Lock the database file itself; also true where it is absent or no regular file."""
    try:
        file = os.open(path, os.O_RDONLY | create | _OPEN, 0o600)
    except _ABSENT:
        if create:
            raise
        return True
    on_exit(os.close, file)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return True
    if FLOCK_IS_INDEPENDENT:
        return _flock(file, path, mode)
    if found.st_nlink > 1:
        raise DatabaseLocked(
            f"{path} has more than one hard link, and this system does not tell whether a daemon uses"
            " another of them"
        )
    return True


def _lock_store(path: Path, mode: int, on_exit: _OnExit) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    except _ABSENT:
        return True
    on_exit(os.close, file)
    return _flock(file, path, mode)


def _lock_file(database: Path, flags: int, mode: int, on_exit: _OnExit) -> int | None:
    path = lock_path(database)
    file = os.open(path, flags | os.O_NOFOLLOW | _OPEN, 0o600)
    on_exit(os.close, file)
    return file if _flock(file, path, mode) else None


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


def _flock(file: int, path: Path, mode: int) -> bool:
    """Lock an open file; false if another process holds it, or if `path` is a different file by now."""
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
        return mode == fcntl.LOCK_SH or os.path.samestat(os.fstat(file), path.stat())
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

"""One daemon a database (contract L11): an advisory lock that ends with its process, however that ends."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from store.errors import DatabaseLocked

_PROBED_S = 0.05
_TRIES = 5


def lock_path(database: Path) -> Path:
    """Return the lock file beside the database; SQLite's own locks on the database are not touched."""
    return database.with_name(f"{database.name}.lock")


def is_held(database: Path) -> bool:
    """Whether a process has the lock; makes no file.

    There is no asking without taking: the lock is shared for an instant, which `DaemonLock` waits out.
    """
    try:
        file = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def refuse_if_held(database: Path) -> None:
    """Do what `DaemonLock` would, without taking the lock.

    Raises:
        DatabaseLocked: a process has it.
    """
    if is_held(database):
        raise _locked(database)


class DaemonLock:
    """A context in which this process alone works with the database.

    A daemon leaves its process id in the lock file; a command that is to change no file does not (`signs`).
    """

    def __init__(self, database: Path, *, signs: bool = True) -> None:
        self._database = database
        self._signs = signs
        self._file: int | None = None

    def __enter__(self) -> "DaemonLock":
        """Take the lock.

        Raises:
            DatabaseLocked: another process has it.
        """
        for attempt in range(1, _TRIES + 1):
            file = os.open(lock_path(self._database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if self._take(file):
                if self._signs:
                    os.truncate(file, 0)
                    os.pwrite(file, str(os.getpid()).encode(), 0)
                self._file = file
                return self
            os.close(file)
            if attempt < _TRIES:
                time.sleep(_PROBED_S / _TRIES)  # somebody only looked, or a reset removed the file
        raise _locked(self._database)

    def _take(self, file: int) -> bool:
        """Take the lock on an open file; false when another has it, or the file is no longer the one."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            return os.path.samestat(os.fstat(file), lock_path(self._database).stat())
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Remove the lock file while it is held; whoever has just opened it will see that it is gone."""
        lock_path(self._database).unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go; the file stays, so that the next daemon finds the same one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _locked(database: Path) -> DatabaseLocked:
    try:
        holder = lock_path(database).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        holder = ""
    who = f" (process {holder})" if holder else ""
    return DatabaseLocked(f"{database} is held by another daemon{who}")

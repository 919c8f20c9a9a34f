"""One daemon a database (contract L11): an advisory lock that ends with its process, however that ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from store.errors import DatabaseLocked


def lock_path(database: Path) -> Path:
    """Return the lock file beside the database; SQLite's own locks on the database are not touched."""
    return database.with_name(f"{database.name}.lock")


class DaemonLock:
    """A context in which this process alone works with the database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: int | None = None

    def __enter__(self) -> "DaemonLock":
        """Take the lock.

        Raises:
            DatabaseLocked: another process has it.
        """
        file = os.open(lock_path(self._database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            os.close(file)
            who = f" (process {holder})" if holder else ""
            raise DatabaseLocked(f"{self._database} is held by another daemon{who}") from error
        os.truncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go; the file stays, because removing it would race with the next daemon."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

"""Opens a database without creating or changing a file, not even SQLite's shared memory file.

The files that exist decide how it is opened (measured on SQLite 3.40):

- `-wal` and `-shm`: a daemon runs or was killed. `readonly_shm` reads the committed state; if no process has the shared
  memory open, SQLite builds it in the heap.
- `-wal` alone, as in a copy: SQLite has to write an index to it, so both files are copied to a temporary directory.
- neither: the daemon was stopped, and the database file is complete. `immutable` reads only this file; any other mode
  would leave an empty `-wal` behind.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAGIC = b"SQLite format 3\x00"
_BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Files:
    """Which files of a database exist; for a stopped daemon also the time and size of the database file."""

    kind: Literal["running_or_killed", "copied", "stopped"]
    modified_ns: int
    size: int


def existing_files(path: Path) -> Files:
    """Return which files of the database at `path`, a real path, exist."""
    try:
        found = path.stat()
    except OSError:
        return Files("stopped", 0, 0)
    if not side_file(path, "-wal").exists():
        return Files("stopped", found.st_mtime_ns, found.st_size)
    return Files("running_or_killed" if side_file(path, "-shm").exists() else "copied", 0, 0)


def side_file(path: Path, suffix: str) -> Path:
    """Return the path of a side file of a database."""
    return path.with_name(path.name + suffix)


@contextmanager
def open_readonly(path: Path, found: Files) -> Iterator[sqlite3.Connection]:
    """Open a connection that reads one consistent state of the database at `path`, a real path."""
    with ExitStack() as stack:
        uri = path.as_uri()
        if found.kind == "running_or_killed":
            uri += "?mode=ro&readonly_shm=1"
        elif found.kind == "stopped":
            uri += "?mode=ro&immutable=1"
        else:
            directory = tempfile.TemporaryDirectory(prefix="inspect-")
            copy = Path(stack.enter_context(directory)) / path.name
            for suffix in ("", "-wal"):
                shutil.copyfile(side_file(path, suffix), side_file(copy, suffix))
            uri = copy.as_uri()
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        stack.enter_context(closing(raw))
        raw.row_factory = sqlite3.Row
        raw.execute("BEGIN")  # all statements read the same state
        yield raw

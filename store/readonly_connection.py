"""Opening a database so that nothing is created and nothing is changed, not even SQLite's shared memory file.

What is there decides how it is opened (measured on SQLite 3.40):

- `-wal` and `-shm`: a daemon runs or was killed. `readonly_shm` reads what is committed; where nobody keeps the
  shared memory any more, SQLite makes its own in the heap.
- `-wal` alone, as in a copy: the index to it has to be made somewhere, so both are copied to a temporary directory.
- neither: it was stopped and all is in the one file, which `immutable` reads without looking for others. Any other
  way would leave an empty `-wal` behind.
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
class Traces:
    """Which files there are, and for a stopped daemon's the look of the one that counts."""

    kind: Literal["alive_or_killed", "copied", "stopped"]
    modified_ns: int
    size: int


def traces(path: Path) -> Traces:
    """Look at the files of the database at `path`, which is a real path."""
    try:
        found = path.stat()
    except OSError:
        return Traces("stopped", 0, 0)
    if not beside(path, "-wal").exists():
        return Traces("stopped", found.st_mtime_ns, found.st_size)
    return Traces("alive_or_killed" if beside(path, "-shm").exists() else "copied", 0, 0)


def beside(path: Path, suffix: str) -> Path:
    """Return a side file of a database."""
    return path.with_name(path.name + suffix)


@contextmanager
def opened(path: Path, found: Traces) -> Iterator[sqlite3.Connection]:
    """Hold a connection that reads one consistent state of the database at `path`, a real path."""
    with ExitStack() as stack:
        uri = path.as_uri()
        if found.kind == "alive_or_killed":
            uri += "?mode=ro&readonly_shm=1"
        elif found.kind == "stopped":
            uri += "?mode=ro&immutable=1"
        else:
            directory = tempfile.TemporaryDirectory(prefix="inspect-")
            copy = Path(stack.enter_context(directory)) / path.name
            for suffix in ("", "-wal"):
                shutil.copyfile(beside(path, suffix), beside(copy, suffix))
            uri = copy.as_uri()
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        stack.enter_context(closing(raw))
        raw.row_factory = sqlite3.Row
        raw.execute("BEGIN")  # all that is read is of one moment
        yield raw

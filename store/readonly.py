"""Looking at the database without touching it: of a daemon that runs, was stopped, or was killed (contract I1).

Nothing is created and nothing is changed, not even SQLite's shared memory file. What is there decides how it is
opened (measured on SQLite 3.40):

- `-wal` and `-shm`: a daemon runs or was killed. `readonly_shm` reads what is committed; where nobody keeps the
  shared memory any more, SQLite makes its own in the heap.
- `-wal` alone, as in a copy: the index to it has to be made somewhere, so both are copied to a temporary directory.
- neither: it was stopped and all is in the one file, which `immutable` reads without looking for others. Any other
  way would leave an empty `-wal` behind.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from store.database import migrate, migrations, translated
from store.errors import DatabaseAbsent, DatabaseUnusable, UnitRefused

T = TypeVar("T")
_TRIES = 5
_BUSY_TIMEOUT_S = 5.0
_MAGIC = b"SQLite format 3\x00"


def read(path: Path, function: Callable[[sqlite3.Connection], T]) -> T:
    """Call `function` on one consistent state of the database at `path`, and return what it returns.

    It may be called again when a daemon starts or stops meanwhile, so it should only read.

    Raises:
        DatabaseAbsent: there is no such file.
        DatabaseUnusable: it can't be read, is no database of ours, or is of a later version.
    """
    path = path.resolve()  # SQLite looks for the other files beside the real one
    for attempt in range(1, _TRIES + 1):
        before = _traces(path)
        try:
            _check(path)
            with _opened(path, before) as raw, _current(raw) as current:
                result = translated(function, current)
        except (DatabaseUnusable, UnitRefused, OSError, sqlite3.Error) as error:
            if attempt < _TRIES and _traces(path) != before:
                continue
            raise _told(error) from error
        # An immutable file must not have come alive meanwhile; the others keep their own order.
        if attempt == _TRIES or before.kind != "stopped" or _traces(path) == before:
            return result
    raise AssertionError("every way out is above")


@dataclass(frozen=True, slots=True)
class _Traces:
    """Which files there are, and for a stopped daemon's the look of the one that counts."""

    kind: Literal["alive_or_killed", "copied", "stopped"]
    modified_ns: int
    size: int


def _traces(path: Path) -> _Traces:
    try:
        found = path.stat()
    except OSError:
        return _Traces("stopped", 0, 0)
    if not _beside(path, "-wal").exists():
        return _Traces("stopped", found.st_mtime_ns, found.st_size)
    return _Traces("alive_or_killed" if _beside(path, "-shm").exists() else "copied", 0, 0)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _check(path: Path) -> None:
    """Say plainly what SQLite would put into riddles."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError as error:
        raise DatabaseAbsent(f"there is no database at {path}") from error
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}") from error
    if not start and not _beside(path, "-wal").exists():
        raise DatabaseUnusable(f"{path} is empty: no daemon has written to it yet")
    if start not in (b"", _MAGIC):
        raise DatabaseUnusable(f"{path} is not a SQLite database")


@contextmanager
def _opened(path: Path, traces: _Traces) -> Iterator[sqlite3.Connection]:
    with ExitStack() as stack:
        uri = path.as_uri()
        if traces.kind == "alive_or_killed":
            uri += "?mode=ro&readonly_shm=1"
        elif traces.kind == "stopped":
            uri += "?mode=ro&immutable=1"
        else:
            directory = tempfile.TemporaryDirectory(prefix="inspect-")
            copy = Path(stack.enter_context(directory)) / path.name
            for suffix in ("", "-wal"):
                shutil.copyfile(_beside(path, suffix), _beside(copy, suffix))
            uri = copy.as_uri()
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        stack.enter_context(closing(raw))
        raw.row_factory = sqlite3.Row
        raw.execute("BEGIN")  # all that is read is of one moment
        yield raw


@contextmanager
def _current(raw: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the current schema: for an older one a copy in memory, migrated there."""
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise DatabaseUnusable("it is not a database of this bot, or no daemon has set it up yet")
    if version >= len(migrations()):
        migrate(raw)  # has nothing to do but to refuse a later version
        yield raw
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        copy.row_factory = sqlite3.Row
        raw.backup(copy)
        migrate(copy)
        yield copy


def _told(error: Exception) -> DatabaseUnusable | DatabaseAbsent:
    if isinstance(error, DatabaseUnusable | DatabaseAbsent):
        return error
    return DatabaseUnusable(str(error))

"""Looking at the database without touching it: of a daemon that runs, was stopped, or was killed (contract I1)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from store.database import migrate, migrations, translated
from store.errors import DatabaseAbsent, DatabaseUnusable, UnitRefused
from store.ownership import refuse_foreign
from store.readonly_connection import MAGIC, beside, opened, traces

T = TypeVar("T")
_TRIES = 5


def read(path: Path, function: Callable[[sqlite3.Connection], T]) -> T:
    """Call `function` on one consistent state of the database at `path`, and return what it returns.

    It may be called again when a daemon starts or stops meanwhile, so it should only read.

    Raises:
        DatabaseAbsent: there is no such file.
        DatabaseUnusable: it can't be read, is no database of ours, or is of a later version.
    """
    path = path.resolve()  # SQLite looks for the other files beside the real one
    for attempt in range(1, _TRIES + 1):
        before = traces(path)
        try:
            _check(path)
            with opened(path, before) as raw, _current(raw) as current:
                result = translated(function, current)
        except (DatabaseUnusable, UnitRefused, OSError, sqlite3.Error) as error:
            if attempt < _TRIES and traces(path) != before:
                continue
            raise _told(error) from error
        # An immutable file must not have come alive meanwhile; the others keep their own order.
        if attempt == _TRIES or before.kind != "stopped" or traces(path) == before:
            return result
    raise AssertionError("every way out is above")


def _check(path: Path) -> None:
    """Say plainly what SQLite would put into riddles."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError as error:
        raise DatabaseAbsent(f"there is no database at {path}") from error
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}") from error
    if not start and not beside(path, "-wal").exists():
        raise DatabaseUnusable(f"{path} is empty: no daemon has written to it yet")
    if start not in (b"", MAGIC):
        raise DatabaseUnusable(f"{path} is not a SQLite database")


@contextmanager
def _current(raw: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the current schema: for an older one a copy in memory, migrated there."""
    refuse_foreign(raw)
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise DatabaseUnusable("no daemon has set it up yet")
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

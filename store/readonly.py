"""Reads a database without changing it, whether its daemon runs, was stopped or was killed (contract I1)."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from store.database import migrate, migrations, translated
from store.errors import DatabaseAbsent, DatabaseUnusable, UnitRefused
from store.ownership import refuse_foreign
from store.readonly_connection import MAGIC, existing_files, open_readonly, side_file

T = TypeVar("T")
_TRIES = 5


def read(path: Path, function: Callable[[sqlite3.Connection], T]) -> T:
    """Call `function` on one consistent state of the database at `path`, and return what it returns.

    `function` must only read: it is called again if a daemon starts or stops meanwhile.

    Raises:
        DatabaseAbsent: there is no such file.
        DatabaseUnusable: it can't be read, is no database of this bot, or is of a later version.
    """
    path = path.resolve()  # SQLite expects the side files next to the real file
    for attempt in range(1, _TRIES + 1):
        before = existing_files(path)
        try:
            _check(path)
            with open_readonly(path, before) as raw, _current(raw) as current:
                result = translated(function, current)
        except (DatabaseUnusable, UnitRefused, OSError, sqlite3.Error) as error:
            if attempt < _TRIES and existing_files(path) != before:
                continue
            if isinstance(error, DatabaseUnusable):
                raise
            raise DatabaseUnusable(str(error)) from error
        # A file read as immutable must not have changed meanwhile; in the other modes SQLite ensures that.
        if attempt == _TRIES or before.kind != "stopped" or existing_files(path) == before:
            return result
    raise AssertionError("unreachable")


def _check(path: Path) -> None:
    """Turn SQLite's less clear errors into actionable messages."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError as error:
        raise DatabaseAbsent(f"there is no database at {path}") from error
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}") from error
    if not start and not side_file(path, "-wal").exists():
        raise DatabaseUnusable(f"{path} is empty: no daemon has written to it yet")
    if start not in (b"", MAGIC):
        raise DatabaseUnusable(f"{path} is not a SQLite database")


@contextmanager
def _current(raw: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Yield a connection with the current schema: for an older one, a migrated copy in memory."""
    refuse_foreign(raw)
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        raise DatabaseUnusable("no daemon has set it up yet")
    if version >= len(migrations()):
        migrate(raw)  # only refuses a later version
        yield raw
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        copy.row_factory = sqlite3.Row
        raw.backup(copy)
        migrate(copy)
        yield copy

"""The connection: one SQLite file in WAL mode, used from one thread, migrated to the current schema.

`Database.run` is the only access: it calls a function over a `sqlite3.Connection` on the connection's thread, one
function at a time. Errors of SQLite are translated here.
"""

import os
import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeVar

import aiosqlite
import anyio

from store.errors import DatabaseBusy, DatabaseFull, DatabaseUnusable, UnitRefused, unusable
from store.ownership import refuse_foreign_file, set_application_id
from store.wal_limit import limit_wal

T = TypeVar("T")
FILE_MODE = 0o600
_UNIT_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    OverflowError,
)
"""A statement breaks a rule of the schema, or SQLite can't store a value."""
_NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""The disk is full for the file or its WAL, or for the index of the WAL."""


class Runner(Protocol):
    """Calls functions on the connection; tests and simulations call them on their own thread."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` with the connection and return what it returns."""
        ...


class Database:
    """An open database. Use `open_database`; `close` it when done."""

    def __init__(self, connection: aiosqlite.Connection, raw: sqlite3.Connection) -> None:
        self._connection = connection
        self._raw = raw

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` on the connection's thread.

        When the caller is cancelled, the function still finishes: a transaction is never interrupted.

        Raises:
            DatabaseUnusable: the file can't be read or written.
            UnitRefused: the function broke a rule of the schema.
        """
        # The public calls of aiosqlite switch threads for each statement, this one for each function:
        # once for a transaction of twenty statements.
        result: T = await self._connection._execute(translated, function, self._raw)
        return result

    async def close(self) -> None:
        """Finish the queued functions, checkpoint the WAL, and close."""
        await self._connection.close()


async def open_database(path: Path) -> Database:
    """Open the file at `path`, create it with mode 0600 if it is absent, and migrate it.

    A file of another program is refused before SQLite can change it.

    Raises:
        DatabaseForeign: it is no database, or another program's.
        DatabaseUnusable: it is not writable, of a later version, or there is no space for it.
    """
    refuse_foreign_file(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    except OSError as error:
        raise unusable(path, error) from error
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(path, isolation_level=None))
        return opened[0]

    connection = await aiosqlite.Connection(connect, iter_chunk_size=64)
    database = Database(connection, opened[0])
    try:
        await database.run(prepare)
        await database.run(lambda raw: limit_wal(raw, path))
    except BaseException:
        # The thread must end before the event loop, or it reports a closed loop on stderr.
        with anyio.CancelScope(shield=True):
            await database.close()
        raise
    return database


def prepare(raw: sqlite3.Connection) -> sqlite3.Connection:
    """Set up a connection that writes, and migrate the schema.

    Raises:
        DatabaseForeign: the database is another program's.
    """
    raw.row_factory = sqlite3.Row
    raw.execute("PRAGMA busy_timeout = 5000")
    set_application_id(raw)  # before there is a WAL, so that the id is in the file itself
    raw.execute("PRAGMA journal_mode = WAL")
    # A commit is on the disk before its effects are performed (contract D1, D3).
    raw.execute("PRAGMA synchronous = FULL")
    migrate(raw)
    return raw


def migrations() -> list[str]:
    """Return the scripts in order; the position of each is the version it leads to."""
    folder = files("store").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]


def migrate(raw: sqlite3.Connection) -> None:
    """Migrate the schema to the current version, one transaction for each step.

    Raises:
        DatabaseUnusable: the file was written by a later version of the program.
    """
    scripts = migrations()
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    if version > len(scripts):
        raise DatabaseUnusable(
            f"the database has schema version {version}, this program knows {len(scripts)}: "
            "run the version that wrote it, or delete the file to rebuild it from the homeserver"
        )
    for number, script in enumerate(scripts[version:], start=version + 1):
        raw.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def translated(function: Callable[[sqlite3.Connection], T], raw: sqlite3.Connection) -> T:
    """Call `function`, and translate errors of SQLite into this package's."""
    try:
        return function(raw)
    except _UNIT_ERRORS as error:
        raise UnitRefused(str(error)) from error
    except UnicodeEncodeError as error:
        raise UnitRefused(f"text that is not Unicode: {error.reason}") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_BUSY:
            raise DatabaseBusy(str(error)) from error
        if code in _NO_SPACE:
            raise DatabaseFull(str(error)) from error
        # SQLite quotes text that is not UTF-8, and it may be a message (contract E9).
        raise DatabaseUnusable(str(error).partition(" with text ")[0]) from error

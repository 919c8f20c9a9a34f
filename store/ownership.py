"""Tells this program's databases from those of other programs, which are neither changed nor deleted (contract X7).

A database of this program carries its application id. One of a version that set none is recognised by its tables, and
gets the id when it is opened the next time. The id has a fixed offset in the file's first page and is written before
there is a WAL. So it can be read without SQLite, and from a file that is damaged elsewhere.
"""

import os
import sqlite3
import stat
from pathlib import Path

from store.errors import DatabaseForeign, DatabaseUnusable, unusable
from store.queries import SQL
from store.readonly_connection import MAGIC, existing_files, open_readonly

APPLICATION_ID = 0x53757242
"""`PRAGMA application_id` of every database of this program: "SurB" in ASCII. It never changes."""

_HEADER_BYTES = 100
_ID_IN_HEADER = slice(68, 72)
_COMMON_TABLES = frozenset(
    [
        "bot",
        "rooms",
        "users",
        "preferences",
        "inbox",
        "outbox",
        "turns",
        "transitions",
        "quarantine",
    ]
)
"""The tables that every version of the schema has."""


def set_application_id(raw: sqlite3.Connection) -> None:
    """Give a new database, or one of an earlier version, the application id.

    Raises:
        DatabaseForeign: it belongs to another program.
    """
    refuse_foreign(raw)
    if _application_id(raw) != APPLICATION_ID:
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def refuse_foreign(raw: sqlite3.Connection) -> None:
    """Refuse a database unless it is this program's or empty; only reads.

    Raises:
        DatabaseForeign: it belongs to another program.
    """
    if not (_is_own(raw) or _is_blank(raw)):
        raise DatabaseForeign("it is not a database of this bot")


def refuse_foreign_file(path: Path) -> None:
    """Refuse a file unless it is this program's database, empty or absent; creates and changes nothing.

    Raises:
        DatabaseForeign: it belongs to another program, or is no database.
        DatabaseUnusable: it can't be read, or is damaged.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(path, error) from error
    try:
        found = os.fstat(file)
        if stat.S_ISDIR(found.st_mode):
            raise DatabaseForeign(f"{path}: Is a directory")
        if not stat.S_ISREG(found.st_mode):
            raise DatabaseForeign("it is not a regular file")
        header = os.pread(file, _HEADER_BYTES, 0)
    finally:
        os.close(file)
    if found.st_size == 0 or has_application_id(header):
        return
    if not header.startswith(MAGIC):
        raise DatabaseForeign("it is not a database")
    real = path.resolve()  # SQLite expects the side files next to the real file
    try:
        with open_readonly(real, existing_files(real)) as raw:
            refuse_foreign(raw)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseUnusable(str(error)) from error


def is_own_file(path: Path, file: int) -> bool:
    """Whether the database at `path`, open as `file`, is this program's; an empty file is not.

    Raises:
        OSError: it can't be read.
        sqlite3.Error: it has no application id and is damaged.
    """
    header = os.pread(file, _HEADER_BYTES, 0)
    if has_application_id(header):
        return True
    if not header.startswith(MAGIC):
        return False
    real = path.resolve()
    with open_readonly(real, existing_files(real)) as raw:
        return _is_own(raw)


def has_application_id(header: bytes) -> bool:
    """Whether the first bytes of a file are those of a database of this program."""
    return (
        header.startswith(MAGIC) and int.from_bytes(header[_ID_IN_HEADER], "big") == APPLICATION_ID
    )


def _is_own(raw: sqlite3.Connection) -> bool:
    application_id = _application_id(raw)
    if application_id != 0:
        return application_id == APPLICATION_ID
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in raw.execute(SQL["names_of_tables"])}
    return version > 0 and tables >= _COMMON_TABLES


def _is_blank(raw: sqlite3.Connection) -> bool:
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    (entries,) = raw.execute(SQL["count_schema_entries"]).fetchone()
    return (_application_id(raw), version, entries) == (0, 0, 0)


def _application_id(raw: sqlite3.Connection) -> int:
    found: int = raw.execute("PRAGMA application_id").fetchone()[0]
    return found

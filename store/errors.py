"""The errors of the database, each with who has to act on it."""

import errno
from pathlib import Path

from machines.errors import SurfacesError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class StoreError(SurfacesError):
    """Base of this package's errors."""


class DatabaseUnusable(StoreError):
    """The file is full, read-only, corrupt or of a later version: the operator has to act (exit 4)."""


class DatabaseBusy(DatabaseUnusable):
    """Another program, not a daemon of this bot, locks the file for longer than the timeout."""


class DatabaseFull(DatabaseUnusable):
    """There is no space left on its disk."""


class DatabaseForeign(DatabaseUnusable):
    """The file belongs to another program, or is no database; it is not changed (contract X7)."""


class DatabaseAbsent(StoreError):
    """There is no database to inspect (wrong path, or the daemon never ran; exit 2)."""


class DatabaseLocked(StoreError):
    """Another daemon holds the database (contract L11; exit 5)."""


class UnitRefused(StoreError):
    """One unit of work breaks a rule of the schema; nothing of it was saved (a bug of this program)."""


def unusable(path: Path, error: OSError) -> DatabaseUnusable:
    """Translate a system error about the database's file or one of its side files."""
    kind = DatabaseFull if error.errno in _NO_SPACE else DatabaseUnusable
    return kind(f"{path}: {error.strerror}")

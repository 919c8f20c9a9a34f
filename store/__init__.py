"""The journal and the cache: one SQLite file, and the only place that speaks SQL.

The *journal* (sync token, inbox, outbox, turns in hand) is what a crash must not lose; the rest (rooms, users,
transitions) is a cache that the homeserver's topology rebuilds (contract C1). Nothing here knows the network.
`Database` is the connection and its thread, `Journal` the one writer with group commit, `records` the rows.
"""

from store.database import Database
from store.errors import DatabaseBusy, DatabaseFull, DatabaseLocked, DatabaseUnusable, StoreError
from store.journal import Journal
from store.lock import DaemonLock

__all__ = [
    "DaemonLock",
    "Database",
    "DatabaseBusy",
    "DatabaseFull",
    "DatabaseLocked",
    "DatabaseUnusable",
    "Journal",
    "StoreError",
]

"""The journal and the cache: one SQLite file, and the only package with SQL.

The *journal* (sync token, inbox, outbox, gaps, current turns) must survive a crash; rooms and users are a cache that is
rebuilt from the homeserver's topology (contract C1). Nothing here uses the network.

Start at `journal`: the one writer, with group commit, and every read and write of the runtime. `writing`, `loading`,
`inbox`, `gaps` and `quarantine` are its functions over the connection, `rows` and `codec` map values to columns,
`database` is the connection, `records` the rows. `inspection` and `readonly` serve `inspect-room`; `lock` and
`ownership` guard the files.
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

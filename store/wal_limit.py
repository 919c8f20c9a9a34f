"""The size limit of the write-ahead log (WAL), for disks that are nearly full.

SQLite checkpoints the WAL, that is, copies it into the database file, once it has 1000 pages (4 MB). If less is free,
the WAL alone would fill the disk, and the checkpoint would fail, because the file has to grow for it. So there is a
checkpoint when the database is opened, and later ones after fewer pages if the disk is nearly full.
"""

import shutil
import sqlite3
from pathlib import Path

MIN_PAGES = 16
MAX_PAGES = 1000
"""SQLite's default, used if enough space is free."""
SHARE = 0.5
"""The share of the free space that the WAL may use; the rest is for the file, which grows too."""


def limit_wal(raw: sqlite3.Connection, path: Path) -> None:
    """Checkpoint the WAL of an earlier process, and limit the WAL by the space that is free now.

    A reader may delay the checkpoint; it does not fail.
    """
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
    (page_bytes,) = raw.execute("PRAGMA page_size").fetchone()
    pages = wal_pages(shutil.disk_usage(path.resolve().parent).free, page_bytes)
    raw.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def wal_pages(free_bytes: int, page_bytes: int) -> int:
    """Return the number of pages after which SQLite checkpoints the WAL."""
    return max(MIN_PAGES, min(MAX_PAGES, int(free_bytes * SHARE / page_bytes)))

"""How far the write-ahead log may grow, so that little free space is enough.

SQLite folds its log into the file once it has 1000 pages, 4 MB. Where less is free the log alone would fill the disk,
with little that is new in it, and could not be folded any more: the file has to grow for that. So it is folded when
the database is opened, and after fewer pages where the disk is nearly full.
"""

import shutil
import sqlite3
from pathlib import Path

FEWEST_PAGES = 16
MOST_PAGES = 1000
"""SQLite's own limit; on a disk with room nothing is changed."""
SHARE = 0.5
"""How much of what is free the log may take; the rest is for the file, which grows too."""


def keep_log_small(raw: sqlite3.Connection, path: Path) -> None:
    """Fold what an earlier process left in its log, and limit this one's by what is free now.

    Somebody who reads meanwhile only has it folded later.
    """
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")
    (page_bytes,) = raw.execute("PRAGMA page_size").fetchone()
    pages = log_pages(shutil.disk_usage(path.resolve().parent).free, page_bytes)
    raw.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def log_pages(free_bytes: int, page_bytes: int) -> int:
    """Return after how many pages the log is folded when so much is free."""
    return max(FEWEST_PAGES, min(MOST_PAGES, int(free_bytes * SHARE / page_bytes)))

"""Ends this process when its parent process has ended, even if the parent was killed.

The parent holds the write end of this process's standard input open and never writes; the process ends when the pipe
closes. This works on every POSIX system and needs no code between fork and exec.
"""

import os
import shutil
import threading

# A temporary directory of the parent, which a killed parent can no longer remove.
TEMPORARY_VARIABLE = "SANDBOX_TEMPORARY_DIRECTORY"


def die_with_parent() -> None:
    """Start to watch the parent; this process ends at once when the parent does."""
    threading.Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    # Not through sys.stdin: its lock would block the shutdown of the interpreter.
    while os.read(0, 1):
        pass
    if temporary := os.environ.get(TEMPORARY_VARIABLE):
        shutil.rmtree(temporary, ignore_errors=True)
    os._exit(1)

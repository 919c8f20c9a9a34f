"""Ends this process when the one that started it is gone, however it went.

The parent keeps the write end of our standard input open and never writes; when the pipe
closes, so do we. This works on every POSIX system and needs no code between fork and exec.
"""

import os
import shutil
import threading

# A directory that the parent made for us and would have removed.
TEMPORARY_VARIABLE = "SANDBOX_TEMPORARY_DIRECTORY"


def die_with_parent() -> None:
    """Start to watch; the end, when it comes, is immediate."""
    threading.Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    # Not through sys.stdin, whose lock would hold up the end of the interpreter.
    while os.read(0, 1):
        pass
    if temporary := os.environ.get(TEMPORARY_VARIABLE):
        shutil.rmtree(temporary, ignore_errors=True)
    os._exit(1)

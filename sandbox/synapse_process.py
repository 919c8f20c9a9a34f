"""The process in which Synapse runs: its ordinary main program, and an end tied to its parent's.

The parent keeps the write end of our standard input open and never writes. When the pipe
closes, the parent is gone, however it went, and so are we. This works on every POSIX system
and needs no code between fork and exec. What the parent would have removed, we then remove.

Run by `sandbox.synapse`: `python -m sandbox.synapse_process --config-path …`.
"""

import os
import shutil
import threading

from synapse.app.homeserver import main

# The parent's temporary directory, if it has one.
TEMPORARY_VARIABLE = "SANDBOX_TEMPORARY_DIRECTORY"


def _die_with_parent() -> None:
    # Not through sys.stdin, whose lock would hold up the end of the interpreter.
    while os.read(0, 1):
        pass
    if temporary := os.environ.get(TEMPORARY_VARIABLE):
        shutil.rmtree(temporary, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()
    main()

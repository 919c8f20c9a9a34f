"""Blocks the signals of the daemon while it starts (contract L8).

Loading the program and opening the database take a second or two. A signal in that time would end the process as a
failure; blocked, it stays pending until the daemon listens for it. This module imports nothing slow.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCKED = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


@contextmanager
def blocked() -> Iterator[None]:
    """Block the signals; `unblock` ends that for some of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        # A signal that is still pending would be delivered now and replace the exit code.
        while signal.sigpending() & _BLOCKED:
            signal.sigwait(_BLOCKED)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock(*numbers: signal.Signals) -> None:
    """Deliver these signals from now on, pending ones first."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

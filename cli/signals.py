"""Blocks the signals of the daemon while it starts (contract L8).

To load the program and to open the database takes a second or two. A signal that comes in that time would end the
process as a failure; blocked, it stays pending until the daemon listens for it. This module imports nothing slow.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCKED = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


@contextmanager
def blocked() -> Iterator[None]:
    """Block the signals; `deliver` ends that for some of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        yield
    finally:
        # Nobody listened. Delivered now, such a signal would take the place of the exit code.
        while signal.sigpending() & _BLOCKED:
            signal.sigwait(_BLOCKED)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def deliver(*numbers: signal.Signals) -> None:
    """Deliver these signals from now on, first those that are pending."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

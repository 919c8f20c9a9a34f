"""Pauses the garbage collector where many objects are made at once and all of them are let go again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause garbage collection while a large answer is parsed or a long text is rendered.

    The collector would walk the growing tree again and again, for two thirds of the time, and find no
    garbage in it. It also holds the event loop while it does, from whichever thread: for 100 ms where the
    tree is large.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()

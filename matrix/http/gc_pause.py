"""Pauses the garbage collector while many short-lived objects are created at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection while a large response is parsed or a long text is rendered.

    The collector would traverse the growing tree again and again, for two thirds of the time, and find no
    garbage in it. From any thread it also blocks the event loop: for 100 ms where the tree is large.
    """
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()

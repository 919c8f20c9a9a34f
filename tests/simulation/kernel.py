"""Simulated time: one heap of callbacks, one seeded random generator, one trace.

Everything in a simulation happens in a callback of this heap. Callbacks that are due at the same moment run
in an order drawn from the seed, because nothing may depend on it.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

BEGINNING = 1_700_000_000.0
"""Where the clock starts, seconds since the epoch."""


class Violation(Exception):
    """The contract is violated."""


class Kernel:
    """The clock, the random generator and the trace of one simulation."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = BEGINNING
        self.rng = random.Random(seed)
        self.trace: list[str] = []
        self.violation: str | None = None
        self._heap: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, happens: Callable[..., None], *args: Any) -> None:
        """Schedule a callback at a time, or at once if that is past."""
        entry = (max(when, self.now), self.rng.random(), next(self._numbers), happens, args)
        heapq.heappush(self._heap, entry)

    def after(self, seconds: float, happens: Callable[..., None], *args: Any) -> None:
        """Schedule a callback after some seconds."""
        self.at(self.now + seconds, happens, *args)

    def step(self) -> None:
        """Run the next callback.

        Raises:
            Violation: a check has failed.
        """
        if self.violation is not None:
            raise Violation(self.violation)
        if not self._heap:
            raise Violation("no callback is left")
        self.now, _, _, happens, args = heapq.heappop(self._heap)
        happens(*args)

    def log(self, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.now - BEGINNING:10.4f} {what}")

    def report_violation(self, what: str) -> None:
        """Report a violation from within the bot's own tasks, which might swallow an exception."""
        self.violation = self.violation or what

    def likely(self, probability: float) -> bool:
        """Draw whether something of this probability happens."""
        return self.rng.random() < probability

    def digest(self) -> str:
        """Return a hash of the trace."""
        return blake2b("\n".join(self.trace).encode(), digest_size=16).hexdigest()

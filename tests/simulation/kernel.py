"""Time and chance: one heap of what happens next, one seeded generator, one trace of what happened.

Everything in a simulated world happens in a callback of this heap. What is due at the same moment happens
in an order that the seed draws: nothing may depend on it.
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
    """The world is not as the contract wants it."""


class Kernel:
    """The world's clock, dice and diary."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = BEGINNING
        self.chance = random.Random(seed)
        self.trace: list[str] = []
        self.blame: str | None = None
        self._heap: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, happens: Callable[..., None], *args: Any) -> None:
        """Let something happen at a time; at once, if that is past."""
        entry = (max(when, self.now), self.chance.random(), next(self._numbers), happens, args)
        heapq.heappush(self._heap, entry)

    def after(self, seconds: float, happens: Callable[..., None], *args: Any) -> None:
        """Let something happen later."""
        self.at(self.now + seconds, happens, *args)

    def step(self) -> None:
        """Let the next thing happen.

        Raises:
            Violation: something has gone wrong that must not.
        """
        if self.blame is not None:
            raise Violation(self.blame)
        if not self._heap:
            raise Violation("nothing will ever happen again")
        self.now, _, _, happens, args = heapq.heappop(self._heap)
        happens(*args)

    def note(self, what: str) -> None:
        """Write into the diary."""
        self.trace.append(f"{self.now - BEGINNING:10.4f} {what}")

    def accuse(self, what: str) -> None:
        """Report a violation from within the bot's own tasks, which might swallow an exception."""
        self.blame = self.blame or what

    def likely(self, probability: float) -> bool:
        """Throw the dice."""
        return self.chance.random() < probability

    def digest(self) -> str:
        """Return what tells this history from any other."""
        return blake2b("\n".join(self.trace).encode(), digest_size=16).hexdigest()

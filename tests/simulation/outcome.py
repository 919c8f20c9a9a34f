"""Run a history and return its outcome."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.simulation.history import History
from tests.simulation.kernel import Violation
from tests.simulation.planted import NONE, Bug, planted


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one history."""

    seed: int
    violation: str | None
    digest: str
    trace: tuple[str, ...]
    messages: int
    kills: int
    requests: int
    forks: int


def simulate(seed: int, *, bug: Bug = NONE) -> Outcome:
    """Run the history of one seed, with a planted bug or none."""
    return outcome_of(partial(History, seed), bug)


def outcome_of(make: Callable[..., History], bug: Bug) -> Outcome:
    """Run the history that `make` makes, and return its outcome."""
    shared_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=shared_memory if shared_memory.is_dir() else None
    ) as folder:
        history = make(Path(folder) / "matrix_store", bug=bug)
        violation = None
        try:
            with planted(bug):
                history.run()
        except Violation as found:
            violation = str(found)
        finally:
            history.raw.close()
    kernel = history.kernel
    return Outcome(
        seed=kernel.seed,
        violation=violation,
        digest=kernel.digest(),
        trace=tuple(kernel.trace),
        messages=len(history.sent_messages),
        kills=history.kills,
        requests=history.network.requests,
        forks=0 if history.forks is None else history.forks.count,
    )

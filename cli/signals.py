"""Signals that come before the daemon listens for them (contract L8).

To load the program and to open the database takes a second or two. By the system's default a signal in that time
would end the process as a failure; here it is kept until there is somebody to hear it.
"""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_KEPT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EarlySignals:
    """A context in which signals are noted; loads nothing that takes time."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Note signals from here on, until somebody listens for them in another way."""
        self._came.clear()
        self._before = {number: signal.signal(number, self._note) for number in _KEPT}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the signals do what they did before; what was noted stays until the next time."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def came(self, *numbers: signal.Signals) -> bool:
        """Whether one of these signals has come."""
        return not self._came.isdisjoint(numbers)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.add(number)


EARLY = EarlySignals()
"""Those of this process."""

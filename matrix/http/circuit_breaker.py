"""One gate for the whole daemon: open while the homeserver answers, closed while it does not.

Contract L9 wants never more than one request a second from the whole daemon while the homeserver is
unreachable. So every request passes here first. When one finds the homeserver gone the gate closes,
and of all that wait in front of it one at a time *probes*, after a jittered back-off between 1 s and
20 s, with a request that has no consequences. The first probe that is answered opens the gate for all.

Nobody owns the gate: whoever waits does the probing, so there is no task to supervise, and a waiter
that is cancelled leaves the next one to go on where it stopped.

An outage is announced when a probe has confirmed it, and its end when a real request has succeeded:
a homeserver that answers probes but nothing else is one long outage with growing back-off, not many.
"""

from collections.abc import Awaitable, Callable

import anyio

from matrix.clock import Clock

SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 20.0
_DOUBLINGS = 5  # 2 ** 5 is beyond the longest wait already

OnChange = Callable[[bool, str, float], None]
"""Called with `up`, `reason` and `outage_s` (0 when going down), once per change."""

Probe = Callable[[], Awaitable[str | None]]
"""Asks the homeserver something harmless; returns why it failed, or `None` when it was answered."""


class Gate:
    """Lets requests pass while the homeserver answers; paces the probes while it does not."""

    def __init__(self, clock: Clock, chance: Callable[[], float], on_change: OnChange) -> None:
        self._clock = clock
        self._chance = chance
        self._on_change = on_change
        self._probing = anyio.Lock()
        self._open = True
        self._announced = False
        self._reason = ""
        self._failures = 0
        self._unwell = 0
        self._wait_s = 0.0
        self._probe_at = 0.0
        self._down_since = 0.0
        self._opened_at = 0.0
        self.epoch = 0
        """How often the gate was opened; a failure from an earlier epoch is old news."""
        self.outages = 0
        """How many outages were confirmed; what was tried before one says nothing after it."""
        self.last_success_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the homeserver answered last time; best-effort requests ask before they start."""
        return self._open

    async def wait_open(self, probe: Probe) -> None:
        """Return once the gate is open; while it is closed, wait or probe in turn."""
        while not self._open:
            async with self._probing:
                if not self._open:
                    await self._probe_once(probe)

    def succeeded(self) -> None:
        """A real request was answered: whatever the homeserver suffered from is over."""
        self._unwell = 0
        self._failures = 0
        self.last_success_at = self._clock.now()
        if self._announced and self._open:
            self._announced = False
            self._on_change(True, self._reason, max(0.0, self._opened_at - self._down_since))

    def failed(self, reason: str, epoch: int, *, certain: bool = False) -> None:
        """A request that passed in `epoch` got no answer: close, unless that is old news.

        What is `certain` is announced without waiting for a probe, which may be answered all the same.
        """
        if not self._open or epoch != self.epoch:
            return
        self._open = False
        self._reason = reason
        if not self._announced:
            self._down_since = self._clock.now()
            if certain:
                self._announce()
        self._plan_probe()

    def unwell(self, reason: str, epoch: int) -> None:
        """A request was answered with an internal error.

        One alone may be the request's own fault (fact 11: a body can break the server). A second
        one with no success in between looks like the homeserver's: the gate closes.
        """
        self._unwell += 1
        if self._unwell >= 2:
            self.failed(reason, epoch)

    def back_off_s(self, failures: int) -> float:
        """Return the jittered wait after so many failures in a row (counted from 1)."""
        ceiling = min(LONGEST_WAIT_S, 2.0 ** min(failures, _DOUBLINGS))
        return max(SHORTEST_WAIT_S, ceiling * (0.5 + 0.5 * self._chance()))

    async def _probe_once(self, probe: Probe) -> None:
        # The wall clock may be set back; no wait is longer than it was meant to be.
        await self._clock.sleep(max(0.0, min(self._wait_s, self._probe_at - self._clock.now())))
        # Planned before it is made: should this waiter be cancelled in the middle, the next one
        # still keeps the distance.
        self._plan_probe()
        reason = await probe()
        if reason is None:
            self._open = True
            self._failures = max(0, self._failures - 1)  # the one planned for was none
            self._unwell = 0
            self._opened_at = self._clock.now()
            self.epoch += 1
            return
        self._reason = reason
        if not self._announced:
            self._announce()
        # The distance counts from the end of this probe, which may have waited for its time-out.
        self._probe_at = self._clock.now() + self._wait_s

    def _announce(self) -> None:
        self._announced = True
        self.outages += 1
        self._on_change(False, self._reason, 0.0)

    def _plan_probe(self) -> None:
        self._failures += 1
        self._wait_s = self.back_off_s(self._failures)
        self._probe_at = self._clock.now() + self._wait_s

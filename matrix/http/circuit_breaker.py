"""The circuit breaker for the whole daemon, and the detection of requests that fail while all others succeed.

Contract L9: while the homeserver is unreachable, the whole daemon makes at most one request a second. So every request
waits here first for the closed state. A request that finds the homeserver unreachable opens the breaker. Then one
waiter at a time probes (`half_open`) with a request that has no effects, after a jittered back-off between 1 s and
20 s. The first probe that is answered closes the breaker for all.

There is no task to supervise: the waiters do the probing, and when one is cancelled the next one continues.

An outage is announced when a probe has confirmed it, and its end when a real request has succeeded. So a homeserver
that answers only probes is one long outage with growing back-off, not many outages.

`Failures` recognises a poison request: one at which the homeserver fails while it handles all others (contract D9, fact
11).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import anyio

from matrix.clock import Clock
from matrix.errors import RequestRefused

SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 20.0
_DOUBLINGS = 5  # 2 ** 5 exceeds the longest wait already

# A poison request is refused within 60 s (contract D9), of which the last wait at the circuit breaker may take 20 s.
# It takes less time where other writes succeeded in between, which proves that the homeserver works.
_MIN_FAILURES = 4
_PROVED_AFTER_S = 25.0
_UNPROVED_AFTER_S = 38.0

State = Literal["closed", "open", "half_open"]

OnOutageChange = Callable[[bool, str, float], None]
"""Called with `up`, `reason` and `outage_s` (0 when going down), once per change."""

Probe = Callable[[], Awaitable[str | None]]
"""Makes a request without effects; returns why it failed, or `None` when it was answered."""


class CircuitBreaker:
    """Lets requests pass while the homeserver answers; paces the probes while it does not."""

    def __init__(
        self, clock: Clock, jitter: Callable[[], float], on_change: OnOutageChange
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._on_change = on_change
        self._probing = anyio.Lock()
        self._announced = False
        self._reason = ""
        self._failures = 0
        self._server_errors = 0
        self._wait_s = 0.0
        self._probe_at = 0.0
        self._down_since = 0.0
        self._closed_at = 0.0
        self.state: State = "closed"
        self.epoch = 0
        """How often the breaker was closed again; a failure from an earlier epoch is outdated."""
        self.outages = 0
        """How many outages were confirmed; failures before one do not count after it."""
        self.last_success_at = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether requests may pass: the homeserver answered last time."""
        return self.state == "closed"

    async def wait_closed(self, probe: Probe) -> None:
        """Return once the breaker is closed; until then, wait or probe in turn."""
        while not self.is_closed:
            async with self._probing:
                if not self.is_closed:
                    await self._probe_once(probe)

    def record_success(self) -> None:
        """Record that a real request was answered: an outage is over."""
        self._server_errors = 0
        self._failures = 0
        self.last_success_at = self._clock.now()
        if self._announced and self.is_closed:
            self._announced = False
            self._on_change(True, self._reason, max(0.0, self._closed_at - self._down_since))

    def record_failure(self, reason: str, epoch: int, *, certain: bool = False) -> None:
        """Open the breaker because a request that passed in `epoch` got no answer; ignore an outdated one.

        A `certain` failure is announced at once. Others wait for a probe, which may be answered.
        """
        if not self.is_closed or epoch != self.epoch:
            return
        self.state = "open"
        self._reason = reason
        if not self._announced:
            self._down_since = self._clock.now()
            if certain:
                self._announce()
        self._plan_probe()

    def record_server_error(self, reason: str, epoch: int) -> None:
        """Record an internal error of the homeserver.

        A single one may be caused by the request itself (fact 11: a body can break the server). A second one with no
        success in between counts as a failure of the homeserver.
        """
        self._server_errors += 1
        if self._server_errors >= 2:
            self.record_failure(reason, epoch)

    def backoff_s(self, failures: int) -> float:
        """Return the jittered wait after so many failures in a row (counted from 1)."""
        ceiling = min(LONGEST_WAIT_S, 2.0 ** min(failures, _DOUBLINGS))
        return max(SHORTEST_WAIT_S, ceiling * (0.5 + 0.5 * self._jitter()))

    async def _probe_once(self, probe: Probe) -> None:
        # The wall clock may be set back; no wait becomes longer than planned.
        await self._clock.sleep(max(0.0, min(self._wait_s, self._probe_at - self._clock.now())))
        # Planned before the probe: if this waiter is cancelled during it, the next one still keeps the distance.
        self._plan_probe()
        self.state = "half_open"
        try:
            reason = await probe()
        finally:
            self.state = "open"
        if reason is None:
            self.state = "closed"
            self._failures = max(0, self._failures - 1)  # undo the one that `_plan_probe` counted
            self._server_errors = 0
            self._closed_at = self._clock.now()
            self.epoch += 1
            return
        self._reason = reason
        if not self._announced:
            self._announce()
        # The distance counts from the end of this probe, which may have waited for its timeout.
        self._probe_at = self._clock.now() + self._wait_s

    def _announce(self) -> None:
        self._announced = True
        self.outages += 1
        self._on_change(False, self._reason, 0.0)

    def _plan_probe(self) -> None:
        self._failures += 1
        self._wait_s = self.backoff_s(self._failures)
        self._probe_at = self._clock.now() + self._wait_s


@dataclass(slots=True)
class Failures:
    """The failures of one request since the last outage.

    `outages` and `writes` are the counts, at the first of these failures, of all outages and successful writes.
    """

    last: RequestRefused | None = None
    count: int = 0
    since: float = 0.0
    outages: int = 0
    writes: int = 0

    def record(self, refusal: RequestRefused, now: float, outages: int, writes: int) -> None:
        """Count a failure; after an outage the count starts again."""
        if self.count == 0 or self.outages != outages:
            self.count, self.since = 0, now
            self.outages, self.writes = outages, writes
        self.count += 1
        self.last = refusal

    def poison(self, now: float, outages: int, writes: int) -> RequestRefused | None:
        """Return the last failure if only this request fails: often, for long, and with no outage in between."""
        if self.last is None or outages != self.outages or self.count < _MIN_FAILURES:
            return None
        failed_for_s = now - self.since
        if writes > self.writes:
            is_poison = failed_for_s >= _PROVED_AFTER_S
        else:
            # Another status than 500 may mean that a part of the homeserver is away for a while.
            is_poison = self.last.status == 500 and failed_for_s >= _UNPROVED_AFTER_S
        return self.last if is_poison else None

"""Detects poison requests: those at which the homeserver fails while it handles all others (contract D9, fact 11)."""

from dataclasses import dataclass

from matrix.errors import RequestRefused

# A poison request is given up within 60 s (contract D9), of which the last wait at the circuit breaker may take 20 s.
# It takes less time where other writes succeeded in between, which proves that the homeserver works.
_MIN_FAILURES = 4
_PROVED_AFTER_S = 25.0
_UNPROVED_AFTER_S = 38.0


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

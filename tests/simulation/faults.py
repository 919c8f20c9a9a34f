"""The faults of one history: rates drawn once from the seed, and faults drawn by these rates until `healed`."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from tests.simulation.kernel import Kernel

Fate = Literal[
    "well",
    "refused",  # no connection; never sent
    "lost",  # sent, and never arrived
    "hangs",  # never arrived, and noticed only at the timeout
    "unanswered",  # done, and the connection broke before the answer
    "unanswered_hangs",  # done, and the answer never comes
    "late",  # done after the connection broke
    "truncated",  # done, and the answer is cut off
    "twice",  # arrives twice
    "limited",  # 429
    "error",  # 500 of the homeserver, not done
    "error_done",  # 500 of the homeserver, done
    "gateway",  # 502 of a proxy, not done
    "gateway_done",  # 502 of a proxy, done
    "slow",
    "partial",  # createRoom is killed in the middle
]
_REQUEST_FATES: tuple[Fate, ...] = (
    "refused",
    "lost",
    "hangs",
    "unanswered",
    "unanswered_hangs",
    "late",
    "truncated",
    "twice",
    "limited",
    "error",
    "error_done",
    "gateway",
    "gateway_done",
    "slow",
    "partial",
)
_IN_A_ROW = 3
"""A request that fails more often in a row would rightly count as poison (contract D9)."""
_OF_ALL = ("joined_rooms", "createRoom")
_OF_ALL_WITHIN_S = 60.0
"""These paths are shared by all users, so that one success says nothing of another request: they fail at most
`_IN_A_ROW` times within the time in which a request could become poison."""

Outage = Literal["refused", "hangs", "gateway"]


@dataclass(slots=True)
class Plan:
    """The rates of one history: how often each kind of fault happens, and how slow its disk is at most."""

    request: float
    agent: float
    kills: int
    outages: int
    soft_logouts: int
    stops: int
    losses: float
    gappy: bool
    repeats: float
    fates: tuple[Fate, ...]
    disk_s: float


def plan(kernel: Kernel) -> Plan:
    """Draw the rates of faults; most histories have several kinds of fault."""
    rng = kernel.rng
    return Plan(
        request=rng.choice((0.0, 0.03, 0.1, 0.25)),
        agent=rng.choice((0.0, 0.2, 0.6)),
        kills=rng.choice((0, 1, 2, 3, 5)),
        outages=rng.choice((0, 0, 1, 2)),
        soft_logouts=rng.choice((0, 0, 1, 2)),
        stops=rng.choice((0, 0, 1)),
        losses=rng.choice((0.0, 0.0, 0.0, 0.0, 0.5)),
        gappy=rng.random() < 0.5,
        repeats=rng.choice((0.0, 0.0, 0.3)),
        fates=tuple(rng.sample(_REQUEST_FATES, rng.randint(3, len(_REQUEST_FATES)))),
        disk_s=rng.choice((0.002, 0.03, 0.2)),
    )


class Faults:
    """Draws the faults; none after `healed`."""

    def __init__(self, kernel: Kernel, drawn: Plan) -> None:
        self._kernel = kernel
        self.plan = drawn
        self.healed = False
        self.outage: Outage | None = None
        self._failures: dict[str, int] = {}
        self._failed_at: defaultdict[str, list[float]] = defaultdict(list)
        self._logouts = 0

    @property
    def gappy(self) -> bool:
        """Whether timelines are cut short."""
        return self.plan.gappy and not self.healed

    def repeats_events(self) -> bool:
        """Whether this sync shows known events once more."""
        return not self.healed and self._kernel.likely(self.plan.repeats)

    def fate_of(self, path: str, method: str) -> Fate:
        """Draw what happens to a request."""
        if self.healed or not self._kernel.likely(self.plan.request):
            self._failures.pop(path, None)
            return "well"
        fate = self._kernel.rng.choice(self.plan.fates)
        if fate == "partial" and not path.endswith("createRoom"):
            fate = "error"
        if fate == "late" and path.endswith("login"):
            # It would end the token of the next login for good, which no client can prevent.
            fate = "lost"
        if fate == "twice" and method == "POST":
            fate = "slow"
        if fate in ("slow", "twice", "limited"):
            return fate
        return "well" if self._failed_enough(path) else fate

    def _failed_enough(self, path: str) -> bool:
        """Whether this path has failed as often as it may; count a failure otherwise."""
        if path.endswith(_OF_ALL):
            begins = self._kernel.now - _OF_ALL_WITHIN_S
            lately = [at for at in self._failed_at[path] if at > begins]
            enough = len(lately) >= _IN_A_ROW
            self._failed_at[path] = lately if enough else [*lately, self._kernel.now]
            return enough
        failures = self._failures.get(path, 0) + 1
        enough = failures > _IN_A_ROW
        self._failures[path] = 0 if enough else failures
        return enough

    def ends_session(self) -> bool:
        """Whether the session ends softly, just as a request comes."""
        if self.healed or self._logouts >= self.plan.soft_logouts or not self._kernel.likely(0.03):
            return False
        self._logouts += 1
        return True

    def loses_database(self) -> bool:
        """Whether the database is gone when the bot is started again."""
        return not self.healed and self._kernel.likely(self.plan.losses)

    def agent_fails(self) -> bool:
        """Whether an agent fails at this request."""
        return not self.healed and self._kernel.likely(self.plan.agent)

"""An agent's outage is reported once when it begins and once when it ends, with the waiting turns (contract L12)."""

from actors.agent_reachability import AgentReachability
from machines.events.agent import AgentFailure
from machines.ids import AgentId
from tests.actors.fakes import ManualClock

ONE, OTHER = AgentId("one"), AgentId("other")
DOWN = AgentFailure("unreachable", "connection refused")


class Reports(list):
    """Collects the changes."""

    def __call__(self, agent_id, *, up, reason, waiting, outage_s):
        self.append((agent_id, up, reason, waiting, round(outage_s)))


def tracker(waiting=3):
    clock, reports = ManualClock(), Reports()
    return clock, reports, AgentReachability(clock, lambda _: waiting, reports)


async def test_an_outage_is_reported_once_however_many_tries_fail():
    clock, reports, reachability = tracker()
    for _ in range(5):
        reachability.record(ONE, DOWN)
        await clock.advance(10.0)
    assert reports == [(ONE, False, "connection refused", 3, 0)]
    for _ in range(5):
        reachability.record(ONE, None)
    assert reports[1:] == [(ONE, True, "", 3, 50)]


async def test_agents_are_reported_each_on_their_own():
    _, reports, reachability = tracker()
    reachability.record(ONE, DOWN)
    reachability.record(OTHER, None)
    reachability.record(OTHER, DOWN)
    assert [report[0] for report in reports] == [ONE, OTHER]


async def test_an_agent_that_breaks_off_can_be_reached():
    _, reports, reachability = tracker()
    reachability.record(ONE, AgentFailure("broken_off", "it closed"))
    assert reports == []
    reachability.record(ONE, DOWN)
    reachability.record(ONE, AgentFailure("silent", "nothing came"))
    assert [report[1] for report in reports] == [False, True]

"""Which agents can't be reached: reported once when that begins, and once when it ends (contract L12).

Nothing is probed. An agent counts as unreachable when a call to it gets no connection, and as reachable again when a
later call gets any answer. So after the last waiting turn has ended, the change is reported at the next message.
"""

from collections.abc import Callable
from typing import Protocol

from actors.ports import Clock
from machines.events.agent import AgentFailure
from machines.ids import AgentId


class OnAgentChange(Protocol):
    """Called once for each change; `outage_s` is 0 when it begins, `waiting` is the number of turns that wait."""

    def __call__(
        self, agent_id: AgentId, *, up: bool, reason: str, waiting: int, outage_s: float
    ) -> None:
        """Report the change."""
        ...


class AgentReachability:
    """The agents that can't be reached at present; `count_waiting` counts the turns that wait for an agent."""

    def __init__(
        self, clock: Clock, count_waiting: Callable[[AgentId], int], on_change: OnAgentChange
    ) -> None:
        self._clock = clock
        self._count_waiting = count_waiting
        self._on_change = on_change
        self._down_since: dict[AgentId, float] = {}

    def record(self, agent_id: AgentId, failure: AgentFailure | None) -> None:
        """Record a failed call, or without a `failure` any answer of the agent."""
        if failure is not None and failure.kind == "unreachable":
            if agent_id not in self._down_since:
                self._down_since[agent_id] = self._clock.now()
                self._report(agent_id, up=False, reason=failure.reason, outage_s=0.0)
        elif agent_id in self._down_since:
            outage_s = max(0.0, self._clock.now() - self._down_since.pop(agent_id))
            self._report(agent_id, up=True, reason="", outage_s=outage_s)

    def _report(self, agent_id: AgentId, *, up: bool, reason: str, outage_s: float) -> None:
        waiting = self._count_waiting(agent_id)
        self._on_change(agent_id, up=up, reason=reason, waiting=waiting, outage_s=outage_s)

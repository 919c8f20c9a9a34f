"""A measured figure with its comparisons."""

from dataclasses import dataclass
from typing import Any, Literal


class BenchFailed(Exception):
    """What was measured did not do its work: messages were lost, doubled or out of order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same work done in another way, in the unit of the figure."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that the figure should reach (`at least`) or keep below (`at most`)."""

    kind: Literal["at least", "at most"]
    limit: float

    def met(self, value: float) -> bool:
        """Whether the value meets the goal."""
        return value >= self.limit if self.kind == "at least" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table: `what` was measured, in which `unit`."""

    what: str
    ours: float
    unit: str
    beside: tuple[Comparison, ...] = ()
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` where there is none."""
        return None if self.goal is None else self.goal.met(self.ours)

    def as_json(self) -> dict[str, Any]:
        """Return the figure as one JSON object."""
        goal = None
        if self.goal is not None:
            goal = {"kind": self.goal.kind, "limit": self.goal.limit, "met": self.met}
        return {
            "what": self.what,
            "ours": self.ours,
            "unit": self.unit,
            "beside": [
                {"name": each.name, "value": each.value, "ratio": ratio(self.ours, each.value)}
                for each in self.beside
            ],
            "goal": goal,
        }


def ratio(ours: float, beside: float) -> float | None:
    """Return ours as a multiple of the other; `None` where the other is 0."""
    return ours / beside if beside else None

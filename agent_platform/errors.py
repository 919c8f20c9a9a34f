"""Errors of agents and of the agents file: who is at fault, and who handles them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_platform.redaction import may_be_secret, quoted
from machines.errors import SurfacesError
from machines.events.agent import AgentFailure


class AgentPlatformError(SurfacesError):
    """Base of every error of this package."""


class ProtocolError(AgentPlatformError):
    """The agent sent a frame that violates the protocol (the agent's fault).

    Handled inside this package: it becomes `AgentFailure("protocol", …)`. The message names fields
    and types but never their content, so it may be logged.
    """


class RequestFailed(AgentPlatformError):
    """A request failed (the agent's fault, or the network's); carries its terminal frame.

    Handled inside this package.
    """

    def __init__(self, frame: AgentFailure) -> None:
        super().__init__(frame.reason)
        self.frame = frame


@dataclass(frozen=True, slots=True)
class RegistryFault:
    """One fault in the agents file, as the operator reads it.

    `line` counts from 1 and is None where the fault is not on one line; `location` is the path of the
    value in the document: keys and indexes.
    """

    file: Path
    line: int | None
    location: tuple[int | str, ...]
    found: str
    expected: str

    @property
    def key(self) -> str:
        """The location as text, such as `agents[1].base_url`; empty for the whole file."""
        if self.location[:1] == ("user_agents",) and len(self.location) > 1:
            return f"user_agents[{quoted(str(self.location[1]))}]"
        names = ("[hidden]" if may_be_secret(str(each)) else each for each in self.location)
        parts = (f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)
        return "".join(parts).removeprefix(".")

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        subject = f"{place}: {self.key}" if self.key else place
        return f"{subject}: found {self.found}; expected {self.expected}"


class RegistryError(AgentPlatformError):
    """The agents file can't be used (the operator's fault).

    At start it ends the daemon with exit code 2; after SIGHUP the old registry is kept. `faults` has
    every fault in the order of the file; `str()` has one line for each.
    """

    def __init__(self, faults: Iterable[RegistryFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))

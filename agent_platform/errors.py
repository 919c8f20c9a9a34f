"""The errors of this package: those of an agent's answer, and those of the agents file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent_platform.redaction import may_be_secret, quoted
from machines.errors import SurfacesError
from machines.events.agent import AgentFailure

BreakKind = Literal["unreachable", "silent", "protocol", "broken_off"]


class ProtocolError(SurfacesError):
    """The agent sent a frame that violates the protocol; handled inside this package.

    The message names fields and types but never their content, so it may be logged.
    """


class RequestFailed(SurfacesError):
    """A request failed because of the agent or the network; handled inside this package."""

    def __init__(self, kind: BreakKind, reason: str) -> None:
        super().__init__(reason)
        self.frame = AgentFailure(kind, reason)


@dataclass(frozen=True, slots=True)
class RegistryFault:
    """One fault in the agents file, as the operator reads it.

    `line` counts from 1 and is None where the fault is not on one line; `location` is the path of the value in the
    document: keys and indexes.
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
        position = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        subject = f"{position}: {self.key}" if self.key else position
        return f"{subject}: found {self.found}; expected {self.expected}"


class RegistryError(SurfacesError):
    """The agents file can't be used; `faults` has every fault in the order of the file, `str()` one line for each.

    At start it ends the daemon with exit code 2; after SIGHUP the old registry stays in use.
    """

    def __init__(self, faults: Iterable[RegistryFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))

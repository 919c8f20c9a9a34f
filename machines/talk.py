"""What an agent is asked, and what it says: the frames of the agent protocol as values.

The wire format is `agent_platform`'s alone. One request yields `Frame`s and always ends with exactly
one `AgentEnded`, `AgentRefused` or `AgentBroke`; nothing else, and no exception, crosses that border.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from machines.ids import AgentId


@dataclass(frozen=True, slots=True)
class ConfirmationAnswer:
    """The user's answer to a confirmation that the agent asked for (contract K8)."""

    id: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class ContextOrder:
    """Asks the agent to keep its context under a name, or to go back to a kept one (contract K7)."""

    action: Literal["save", "load"]
    name: str


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One `USER_MESSAGE`; `message_id` is the same at every retry of one turn (contract D10)."""

    agent_id: AgentId
    platform_chat_id: str
    message_id: str
    text: str
    attachments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    confirmation: ConfirmationAnswer | None = None
    context: ContextOrder | None = None


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class AgentUsesTool:
    """The agent began to use a tool; shown as status, never as answer."""

    tool_name: str


@dataclass(frozen=True, slots=True)
class AgentToolDone:
    """The tool finished."""


@dataclass(frozen=True, slots=True)
class AgentReported:
    """A custom update: progress, or a question to confirm (`payload["kind"] == "confirmation"`)."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentOffersFile:
    """A file for the user; `path` is what the agent sent, unchecked (contract F2)."""

    path: str


@dataclass(frozen=True, slots=True)
class AgentEnded:
    """The answer is complete. Terminal."""

    tokens_used: int


@dataclass(frozen=True, slots=True)
class AgentRefused:
    """The agent sent `ERROR`. Terminal; only the code `AGENT_BUSY` is worth another try."""

    code: str
    details: str


@dataclass(frozen=True, slots=True)
class AgentBroke:
    """No answer could be had: refused connection, silence, a broken protocol. Terminal, retryable.

    `kind` is one of `unreachable`, `silent`, `protocol`, `broken_off`; `reason` says it in a sentence.
    """

    kind: Literal["unreachable", "silent", "protocol", "broken_off"]
    reason: str


Frame = (
    AgentSaid
    | AgentUsesTool
    | AgentToolDone
    | AgentReported
    | AgentOffersFile
    | AgentEnded
    | AgentRefused
    | AgentBroke
)

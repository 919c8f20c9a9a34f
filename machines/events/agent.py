"""The agent protocol as values: the request, and the frames of the answer.

Only `agent_platform` knows the wire format. One request yields `Frame`s and always ends with exactly one `AgentEnded`,
`AgentRefused` or `AgentBroke`; nothing else, and no exception, crosses that border.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from machines.ids import AgentId


class ConfirmationAnswer(Struct, frozen=True):
    """The user's answer to a confirmation that the agent asked for (contract K8)."""

    id: str
    accepted: bool


class ContextOrder(Struct, frozen=True):
    """Asks the agent to save its context under a name, or to load a saved one (contract K7)."""

    action: Literal["save", "load"]
    name: str


class AgentRequest(Struct, frozen=True):
    """One `USER_MESSAGE`; `message_id` is the same in every attempt of one turn (contract D10)."""

    agent_id: AgentId
    platform_chat_id: str
    message_id: str
    text: str
    attachments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    confirmation: ConfirmationAnswer | None = None
    context: ContextOrder | None = None


class AgentSaid(Struct, frozen=True):
    """The next piece of the answer."""

    text: str


class AgentUsesTool(Struct, frozen=True):
    """The agent began to use a tool; shown as status, never in the answer."""

    tool_name: str


class AgentToolDone(Struct, frozen=True):
    """The tool finished."""


class AgentReported(Struct, frozen=True):
    """A custom update: progress, or a question to confirm (`payload["kind"] == "confirmation"`)."""

    payload: Mapping[str, Any]


class AgentOffersFile(Struct, frozen=True):
    """A file for the user; `path` is what the agent sent, unchecked (contract F2)."""

    path: str


class AgentEnded(Struct, frozen=True):
    """The answer is complete. Terminal."""

    tokens_used: int


class AgentRefused(Struct, frozen=True):
    """The agent sent `ERROR`. Terminal; only after the code `AGENT_BUSY` is it asked again."""

    code: str
    details: str


class AgentBroke(Struct, frozen=True):
    """The agent gave no answer: refused connection, silence, a broken protocol. Terminal, retryable.

    `reason` is a sentence for the operator.
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

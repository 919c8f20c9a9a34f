"""The agent protocol as values: the request, and the frames of the answer.

Only `agent_platform` knows the wire format. A request yields `Frame`s, of which the last, and no other, is an
`AgentEnd`, an `AgentError` or an `AgentFailure`. It raises no exception.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from machines.ids import AgentId, EventId

AGENT_BUSY = "AGENT_BUSY"
"""The only error code after which the agent is asked again (agent protocol)."""


class ConfirmationAnswer(Struct, frozen=True):
    """The user's answer to a question of the agent (contract K8)."""

    id: str
    accepted: bool


class ContextRequest(Struct, frozen=True):
    """Asks the agent to save its context under a name, or to load a saved one (contract K7)."""

    action: Literal["save", "load"]
    name: str


class Quoted(Struct, frozen=True):
    """The message that the user's message replies to, and who wrote it (contract D18)."""

    by: Literal["user", "agent"]
    text: str


class AgentRequest(Struct, frozen=True):
    """One `USER_MESSAGE`; every attempt of a turn has the same `message_id` (contract D10).

    `quoted_event` is the event that the message replies to. The runtime reads it when it calls the agent, and sets
    `quoted`, which is not stored.
    """

    agent_id: AgentId
    platform_chat_id: str
    message_id: str
    text: str
    attachments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    confirmation: ConfirmationAnswer | None = None
    context: ContextRequest | None = None
    quoted_event: EventId | None = None
    quoted: Quoted | None = None


class AgentTextChunk(Struct, frozen=True):
    """The next piece of the answer."""

    text: str


class AgentToolCall(Struct, frozen=True):
    """The agent started a tool; shown as status, never in the answer."""

    tool_name: str


class AgentToolResult(Struct, frozen=True):
    """The tool finished. Its result is not shown, so it is not part of the value."""


class AgentCustomUpdate(Struct, frozen=True):
    """Progress, or a question to confirm (`payload["kind"] == "confirmation"`)."""

    payload: Mapping[str, Any]


class AgentFileOffer(Struct, frozen=True):
    """A file for the user; `path` is what the agent sent, unchecked (contract F2)."""

    path: str


class AgentEnd(Struct, frozen=True):
    """The answer is complete. Terminal."""

    tokens_used: int


class AgentError(Struct, frozen=True):
    """The agent sent `ERROR`. Terminal; retried only if the code is `AGENT_BUSY`."""

    code: str
    details: str


class AgentFailure(Struct, frozen=True):
    """The request failed: connection refused, timeout, protocol violation, connection lost. Terminal; retried.

    `reason` is a sentence for the operator.
    """

    kind: Literal["unreachable", "silent", "protocol", "broken_off"]
    reason: str


Frame = (
    AgentTextChunk
    | AgentToolCall
    | AgentToolResult
    | AgentCustomUpdate
    | AgentFileOffer
    | AgentEnd
    | AgentError
    | AgentFailure
)

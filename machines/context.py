"""The context of one step: the time, the sentences, the access rules, the agents, and the next free id.

A context is created for every step, so a step can be repeated from its arguments alone.
"""

from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from machines.access import Access
from machines.i18n import Catalog
from machines.ids import AgentId, RoomId, UserId, server_of
from machines.user.preferences import Preferences


class Agents(Protocol):
    """The agents as decisions see them (contracts A2–A4)."""

    def default_for(self, user_id: UserId) -> AgentId:
        """Return the agent a user's chats get unless he selects another."""
        ...

    def knows(self, agent_id: AgentId) -> bool:
        """Whether the agent is there; always so in single-agent mode, which has no stale check."""
        ...

    def all(self) -> Sequence[AgentId]:
        """Return every agent there is, in the order of the registry."""
        ...

    def label(self, agent_id: AgentId) -> str:
        """Return what people call the agent; its id where it has no label."""
        ...


class StepContext(Struct, frozen=True):
    """The surroundings of one step. `now` is seconds since the epoch.

    `next_platform_chat_id` is free; a step that uses it says so with `ReservePlatformChatId`. With
    `mock_agents` a new chat is told how to try them.
    """

    now: float
    catalog: Catalog
    access: Access
    agents: Agents
    next_platform_chat_id: str
    agent_retry_s: float = 120.0
    agent_max_turn_s: float = 1800.0
    mock_agents: bool = False
    preferences: Callable[[UserId], Preferences] = lambda _: Preferences()

    def with_preferences(self, user_id: UserId, chosen: Preferences) -> "StepContext":
        """Return these surroundings after a user made a choice."""
        earlier = self.preferences
        return replace(self, preferences=lambda each: chosen if each == user_id else earlier(each))

    def link(self, room_id: RoomId) -> str:
        """Return a link to a room; the server is named apart, because the id may not name it."""
        return f"https://matrix.to/#/{quote(room_id)}?via={quote(server_of(self.access.bot))}"

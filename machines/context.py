"""The context of one step: the time, the sentences, the access rules, the agents, and the next free id.

Every step gets a new context, so a step depends on its arguments only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from machines.access import Access
from machines.i18n import Catalog
from machines.ids import AgentId, RoomId, UserId, server_of
from machines.user.preferences import Preferences


class Agents(Protocol):
    """The agents that a step can use (contracts A2–A4)."""

    def default_for(self, user_id: UserId) -> AgentId:
        """Return the agent of a user's new chats if they selected none."""
        ...

    def knows(self, agent_id: AgentId) -> bool:
        """Whether the agent exists; always true in single-agent mode."""
        ...

    def all(self) -> Sequence[AgentId]:
        """Return every agent, in the order of the registry."""
        ...

    def label(self, agent_id: AgentId) -> str:
        """Return the label of the agent, or its id if it has none."""
        ...


class StepContext(Struct, frozen=True):
    """The context of one step. `now` is seconds since the epoch.

    `catalog` has the sentences of the configured language, `catalogs` those of every language, by its name.
    `next_platform_chat_id` is free; a step that uses it returns a `ReservePlatformChatId`. With `mock_agents` the
    welcome to a new chat explains how to try them. `message_pending`: a message to this room was ordered and is not
    confirmed as sent yet.
    """

    now: float
    catalog: Catalog
    access: Access
    agents: Agents
    next_platform_chat_id: str
    agent_retry_s: float = 120.0
    agent_max_turn_s: float = 1800.0
    mock_agents: bool = False
    message_pending: bool = False
    preferences: Callable[[UserId], Preferences] = lambda _: Preferences()
    catalogs: Mapping[str, Catalog] = {}

    def catalog_for(self, user_id: UserId | None) -> Catalog:
        """Return the sentences in the language that a user chose, or else in the configured one (contract K13)."""
        if user_id is None:
            return self.catalog
        return self.catalogs.get(self.preferences(user_id).language, self.catalog)

    def with_preferences(self, user_id: UserId, chosen: Preferences) -> "StepContext":
        """Return this context with the preferences that a user has just chosen."""
        earlier = self.preferences
        return replace(self, preferences=lambda each: chosen if each == user_id else earlier(each))

    def link(self, room_id: RoomId) -> str:
        """Return a link to a room. It names the server in `via`, because a room id may not contain it."""
        return f"https://matrix.to/#/{quote(room_id)}?via={quote(server_of(self.access.bot))}"

"""The registry of agents: an immutable value, read from the agents file or made of one URL.

All faults of the file are reported at once, each with its line (contract A2). A reload returns a new
value or raises; the old value stays usable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_platform.registry.agents_file import read_agents_file
from machines.ids import AgentId, UserId

SINGLE_AGENT_ID = AgentId("default")


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent; `workspace` is the directory that it shares with the bot (contract A2).

    `base_url` is None only where agents are not reached over the network (mock backend).
    """

    id: AgentId
    label: str
    workspace: Path
    base_url: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Registry:
    """All agents in the order of the file, which is the order of `!agent` (contract K5)."""

    agents: tuple[Agent, ...]
    user_agents: Mapping[UserId, AgentId] = field(default_factory=dict)
    single: bool = False
    """True without an agents file: one agent, which answers every chat (contract A4)."""

    def get(self, agent_id: AgentId) -> Agent | None:
        """Return the agent of a chat, or None when the chat is stale (contract A3).

        The single agent answers for every id: without a registry nothing is stale (contract A4).
        """
        if self.single:
            return self.agents[0]
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def default_for(self, user_id: UserId) -> Agent:
        """Return the agent of users who have selected none: their entry, else the first agent."""
        chosen = self.user_agents.get(user_id)
        return next((agent for agent in self.agents if agent.id == chosen), self.agents[0])


def single_agent(base_url: str | None, workspace_dir: Path) -> Registry:
    """Return the registry of an installation without an agents file (contracts A2, A4)."""
    agent = Agent(SINGLE_AGENT_ID, "Agent", workspace_dir, base_url)
    return Registry((agent,), single=True)


def load_registry(
    file: Path,
    *,
    base_url: str | None,
    workspace_dir: Path,
    environ: Mapping[str, str],
    networked: bool = True,
) -> Registry:
    """Read the agents file.

    `base_url` is `AGENT_BASE_URL`, the address of agents without one of their own; `workspace_dir`
    contains the workspaces that the file does not give; `environ` has the tokens. With
    `networked=False` (mock backend) agents need neither an address nor their token.

    Raises:
        RegistryError: with every fault in the file.
    """
    content = read_agents_file(file, base_url, environ, networked=networked)
    agents = (
        Agent(
            AgentId(entry.id),
            entry.label,
            Path(entry.workspace_path or workspace_dir / entry.id),
            entry.base_url or base_url,
            environ.get(entry.token_env or "", "").strip() or None,
        )
        for entry in content.agents
    )
    chosen = content.user_agents or {}
    user_agents = {UserId(user): AgentId(agent) for user, agent in chosen.items()}
    return Registry(tuple(agents), user_agents)

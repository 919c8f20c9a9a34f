"""The registry of agents: an immutable value from the agents file or from one URL.

All faults of the file are reported at once, each with its line (contract A2). A reload returns a new value or raises
an error; the old value stays usable.
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

    `base_url` is None only if agents are not reached over the network (mock backend).
    """

    id: AgentId
    label: str
    workspace: Path
    base_url: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Registry:
    """All agents in the order of the file, which is the order of `!agent` (contract K5).

    It implements the machines' port `machines.context.Agents`.
    """

    agents: tuple[Agent, ...]
    user_agents: Mapping[UserId, AgentId] = field(default_factory=dict)
    single: bool = False
    """True without an agents file: one agent, which answers every chat (contract A4)."""

    def get(self, agent_id: AgentId) -> Agent | None:
        """Return the agent with this id, or None; a single agent has every id, so no chat is stale (A3, A4)."""
        if self.single:
            return self.agents[0]
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def default_for(self, user_id: UserId) -> AgentId:
        """Return the agent of a user's chats unless they select another: their entry, else the first agent (A2)."""
        return self.user_agents.get(user_id, self.agents[0].id)

    def knows(self, agent_id: AgentId) -> bool:
        """Whether there is an agent for chats with this agent id."""
        return self.get(agent_id) is not None

    def all(self) -> tuple[AgentId, ...]:
        """Return the ids of all agents, in order."""
        return tuple(agent.id for agent in self.agents)

    def label(self, agent_id: AgentId) -> str:
        """Return the name that users see; the id of an agent that is not in the registry."""
        agent = self.get(agent_id)
        return agent.label if agent is not None else agent_id


def single_agent(base_url: str | None, workspace_dir: Path, label: str) -> Registry:
    """Return the registry of an installation without an agents file (contracts A2, A4)."""
    agent = Agent(SINGLE_AGENT_ID, label, workspace_dir, base_url)
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

    `base_url` is `AGENT_BASE_URL`, the address of agents whose entry has none; `workspace_dir` contains the workspaces
    of agents whose entry has none; `environ` has the tokens. With `networked=False` (mock backend) agents need neither
    an address nor their token.

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
    entries = (content.user_agents or {}).items()
    user_agents = {UserId(user): AgentId(agent) for user, agent in entries}
    return Registry(tuple(agents), user_agents)

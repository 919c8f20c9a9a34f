"""The configured agents: the agents file, a single agent, or the mock."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path

from pydantic import ValidationError

from agent_platform import (
    MockPlatform,
    RealPlatform,
    Registry,
    RegistryError,
    Timings,
    load_registry,
    single_agent,
)
from cli.settings import AgentSettings, Settings, env_file_values, load
from machines.ids import AgentId, UserId


class Agents:
    """The agents for the machines (`machines.context.Agents`); the registry is replaced at SIGHUP."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def default_for(self, user_id: UserId) -> AgentId:
        """Return the agent of a user's chats unless they select another (contract A2)."""
        return self.registry.default_for(user_id).id

    def knows(self, agent_id: AgentId) -> bool:
        """Whether the agent is in the registry; a single agent is never stale (contract A4)."""
        return self.registry.single or self.registry.get(agent_id) is not None

    def all(self) -> tuple[AgentId, ...]:
        """Return all agents, in the order of the registry."""
        return tuple(agent.id for agent in self.registry.agents)

    def label(self, agent_id: AgentId) -> str:
        """Return the agent's label, which is shown to people."""
        agent = self.registry.get(agent_id)
        return agent.label if agent is not None else agent_id


def read_registry(settings: AgentSettings) -> Registry:
    """Return the configured agents.

    Raises:
        RegistryError: the agents file has faults; the error names all of them.
        CommandFailed: `.env`, which may hold the agents' tokens, can't be read.
    """
    if settings.matrix_agent_registry_path is None:
        return single_agent(settings.base_url, settings.surfaces_workspace_dir)
    return load_registry(
        settings.matrix_agent_registry_path,
        base_url=settings.base_url,
        workspace_dir=settings.surfaces_workspace_dir,
        environ=_environment(),
        networked=settings.matrix_platform_backend == "real",
    )


def load_configuration() -> tuple[Settings, Registry]:
    """Read the environment and the agents file, and report the faults of both at once (contract E10).

    Raises:
        CommandFailed: something is missing or wrong.
    """
    registry, faults = Registry(()), []
    try:
        with suppress(ValidationError):  # which `load` reports below
            registry = read_registry(AgentSettings())
    except RegistryError as error:
        faults += [f"MATRIX_AGENT_REGISTRY_PATH: {fault}" for fault in error.faults]
    return load(Settings, faults), registry


def _environment() -> Mapping[str, str]:
    """Return the variables in which an agent's token may be: the environment has priority over `.env`."""
    filed = env_file_values()
    return {name: value for name, value in (*filed.items(), *os.environ.items()) if value}


def open_platform(
    settings: Settings, registry: Callable[[], Registry]
) -> AbstractAsyncContextManager[MockPlatform | RealPlatform]:
    """Return the configured platform (contract E4), as an async context."""
    if settings.matrix_platform_backend == "mock":
        return nullcontext(
            MockPlatform(
                silence_s=settings.agent_timeout_s,
                workspace=lambda agent_id: _workspace(registry(), agent_id),
            )
        )
    return RealPlatform(registry, timings=Timings(silence_s=settings.agent_timeout_s))


def _workspace(registry: Registry, agent_id: AgentId) -> Path | None:
    agent = registry.get(agent_id)
    return agent.workspace if agent is not None else None

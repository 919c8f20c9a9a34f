"""Reads the registry of agents and opens the platform, as the settings say."""

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
from cli.env_file import env_file_values
from cli.settings import AgentSettings, Settings, load
from machines.ids import AgentId


def read_registry(settings: AgentSettings) -> Registry:
    """Return the configured agents.

    Raises:
        RegistryError: the agents file has faults; the error names all of them.
        CommandFailed: `.env`, which may hold the agents' tokens, can't be read.
    """
    if settings.matrix_agent_registry_path is None:
        return single_agent(
            settings.base_url, settings.surfaces_workspace_dir, settings.surfaces_brand
        )
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
        with suppress(ValidationError):  # `load` reports it below
            registry = read_registry(AgentSettings())
    except RegistryError as error:
        faults += [f"MATRIX_AGENT_REGISTRY_PATH: {fault}" for fault in error.faults]
    return load(Settings, faults), registry


def _environment() -> Mapping[str, str]:
    """Return the variables that may hold an agent's token: the environment has priority over `.env`."""
    variables = (*env_file_values().items(), *os.environ.items())
    return {name: value for name, value in variables if value}


def open_platform(
    settings: Settings, registry: Callable[[], Registry]
) -> AbstractAsyncContextManager[MockPlatform | RealPlatform]:
    """Return the configured platform (contract E4), as an async context."""
    if settings.matrix_platform_backend == "real":
        return RealPlatform(registry, timings=Timings(silence_s=settings.agent_timeout_s))

    def workspace(agent_id: AgentId) -> Path | None:
        agent = registry().get(agent_id)
        return agent.workspace if agent is not None else None

    mock = MockPlatform(
        silence_s=settings.agent_timeout_s, workspace=workspace, locale=settings.surfaces_locale
    )
    return nullcontext(mock)

"""What the log says about the whole installation: its description at `bot_live`, and outages (contract L12)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog

from actors.agent_reachability import OnAgentChange
from agent_platform import Registry
from cli.settings import Settings
from cli.version import version
from machines.ids import AgentId, server_of
from matrix.http.circuit_breaker import OnOutageChange

_MOCK = "the built-in mock"


def describe(settings: Settings, registry: Registry) -> dict[str, Any]:
    """Return the fields of `bot_live`: what runs, as whom, with which agents, for whom, and how to begin."""
    account = settings.matrix_user_id
    mock = settings.matrix_platform_backend == "mock"
    return {
        "version": version(),
        "account": account,
        "homeserver": without_userinfo(settings.matrix_homeserver),
        "backend": settings.matrix_platform_backend,
        "agents": [
            {"agent": agent.id, "url": _MOCK if mock else _url(registry, agent.id)}
            for agent in registry.agents
        ],
        "allowed_users": list(settings.matrix_allowed_users) or [f"@*:{server_of(account)}"],
        "database": str(settings.matrix_db_path.absolute()),
        "begin": f"invite {account} to a room, in any Matrix client",
    }


def outage_logger(homeserver: str) -> OnOutageChange:
    """Return a function that logs an outage of the homeserver once when it begins and once when it ends (L9)."""
    url = without_userinfo(homeserver)

    def log(up: bool, reason: str, outage_s: float) -> None:
        logger = structlog.get_logger()
        if up:
            logger.info("homeserver_reachable", url=url, outage_s=round(outage_s, 1))
        else:
            logger.warning("homeserver_unreachable", url=url, reason=reason)

    return log


def agent_outage_logger(registry: Callable[[], Registry]) -> OnAgentChange:
    """Return a function that logs the outages of agents, with the address that the registry has at that moment."""

    def log(agent_id: AgentId, *, up: bool, reason: str, waiting: int, outage_s: float) -> None:
        url = _url(registry(), agent_id)
        logger = structlog.get_logger().bind(agent=agent_id, url=url)
        if up:
            logger.info("agent_reachable", outage_s=round(outage_s, 1), waiting=waiting)
        else:
            logger.warning("agent_unreachable", reason=reason, waiting=waiting)

    return log


def without_userinfo(url: str) -> str:
    """Return a URL without the user name and the password that it may contain (contract E9)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _url(registry: Registry, agent_id: AgentId) -> str:
    agent = registry.get(agent_id)
    if agent is None:
        return "no address: it is not in the agents file"
    return without_userinfo(agent.base_url) if agent.base_url else _MOCK

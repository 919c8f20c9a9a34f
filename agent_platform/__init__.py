"""The only place that knows the agents: their WebSocket, the built-in mock, and the agents file.

Behind one port (`AgentPlatform` of the runtime) stand `RealPlatform`, which asks the agents of the
`Registry` over the network, and `MockPlatform`, which answers in process. A request yields frames
(`machines.talk`) up to one terminal frame, whatever the agent does. When to ask again, and what to
tell the user, is decided elsewhere.
"""

from agent_platform.errors import AgentPlatformError, RegistryError, RegistryFault
from agent_platform.mock.answers import PLAYGROUND
from agent_platform.mock.platform import MockPlatform
from agent_platform.protocol.connection import Timings, open_session
from agent_platform.real import RealPlatform
from agent_platform.redaction import HIDDEN, may_be_secret
from agent_platform.registry.agents import Agent, Registry, load_registry, single_agent
from agent_platform.registry.base_url import base_from_ws_url, base_url_fault

__all__ = [
    "HIDDEN",
    "PLAYGROUND",
    "Agent",
    "AgentPlatformError",
    "MockPlatform",
    "RealPlatform",
    "Registry",
    "RegistryError",
    "RegistryFault",
    "Timings",
    "base_from_ws_url",
    "base_url_fault",
    "load_registry",
    "may_be_secret",
    "open_session",
    "single_agent",
]

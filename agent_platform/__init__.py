"""Connects to the agents: over WebSocket, or to the mock agent in process; and reads the agents file.

Two classes implement the runtime's port `AgentPlatform`: `RealPlatform` (`real`) sends requests to the agents of the
`Registry` over the network, `MockPlatform` (`mock`) answers in process. A request yields frames
(`machines.events.agent`) up to exactly one terminal frame. The machines decide on retries and on messages to the user.
Start reading at `real`, then `protocol.client`.
"""

from agent_platform.errors import RegistryError
from agent_platform.mock.answers import MOCK_PHRASES
from agent_platform.mock.platform import MockPlatform
from agent_platform.protocol.connection import Timings
from agent_platform.real import RealPlatform
from agent_platform.redaction import HIDDEN, may_be_secret
from agent_platform.registry.agents import Registry, load_registry, single_agent
from agent_platform.registry.base_url import base_from_ws_url, base_url_fault

__all__ = [
    "HIDDEN",
    "MOCK_PHRASES",
    "MockPlatform",
    "RealPlatform",
    "Registry",
    "RegistryError",
    "Timings",
    "base_from_ws_url",
    "base_url_fault",
    "load_registry",
    "may_be_secret",
    "single_agent",
]

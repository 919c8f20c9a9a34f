"""The real agent platform: sends requests to the agents of the registry over the network."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Self

import aiohttp

from agent_platform.protocol.client import ask
from agent_platform.protocol.connection import Endpoint, Timings, open_session
from agent_platform.registry.agents import Registry
from machines.events.agent import AgentFailure, AgentRequest, Frame


class RealPlatform:
    """Sends each request to its agent, at the address that the registry has at that moment.

    `registry` is called for each request, so that a reload (contract A2) applies from the next request on. An async
    context manager: leave it after all requests have ended; it closes the HTTP session, which the first request opens.
    """

    def __init__(self, registry: Callable[[], Registry], timings: Timings | None = None) -> None:
        self._registry = registry
        self._session: aiohttp.ClientSession | None = None
        self._timings = timings or Timings()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, request: AgentRequest) -> AsyncGenerator[Frame, None]:
        """Send the request once and yield frames up to one terminal frame; closing the generator disconnects."""
        agent = self._registry().get(request.agent_id)
        if agent is None or agent.base_url is None:
            # A stale chat (contract A3) is refused earlier, but the registry may have been reloaded since.
            yield AgentFailure("unreachable", f"there is no agent {request.agent_id!r}")
            return
        if self._session is None:
            self._session = open_session()
        endpoint = Endpoint(agent.base_url, agent.token)
        async with aclosing(ask(self._session, endpoint, request, self._timings)) as frames:
            async for frame in frames:
                yield frame

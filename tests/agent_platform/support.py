"""Helpers: a request, its frames as a list, and short timeouts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from agent_platform.protocol.client import ask
from agent_platform.protocol.connection import Endpoint, Timings, open_session
from machines.events.agent import AgentRequest, AgentTextChunk, Frame

QUICK = Timings(connect_s=5, status_s=5, silence_s=5, heartbeat_s=30, close_s=0.2)


def request(text: str = "hello", **fields) -> AgentRequest:
    fields = {"agent_id": "a1", "platform_chat_id": "7", "message_id": "m1"} | fields
    return AgentRequest(text=text, **fields)


async def collect(frames: AsyncGenerator[Frame, None]) -> list[Frame]:
    with anyio.fail_after(20):
        async with aclosing(frames):
            return [frame async for frame in frames]


async def ask_agent(
    base_url: str,
    wanted: AgentRequest | None = None,
    timings: Timings = QUICK,
    token: str | None = None,
) -> list[Frame]:
    async with open_session() as session:
        endpoint = Endpoint(base_url, token)
        return await collect(ask(session, endpoint, wanted or request(), timings))


def said(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, AgentTextChunk))

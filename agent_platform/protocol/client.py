"""Sends one request to one agent over a WebSocket and yields its frames, with exactly one terminal frame.

Faults of the agent and of the network raise no error: they become the terminal frame (contract D10). Each request is
one attempt; the turn's machine decides on retries.
"""

from collections.abc import AsyncGenerator
from typing import assert_never

import aiohttp

from agent_platform.errors import ProtocolError, RequestFailed
from agent_platform.protocol.connection import Connection, Endpoint, Timings, connected
from agent_platform.protocol.frames import Status, decode_frame, encode_request
from agent_platform.protocol.rate_limit import FrameRateLimit
from agent_platform.surrogates import SurrogateJoiner
from machines.events.agent import (
    AgentCustomUpdate,
    AgentEnd,
    AgentError,
    AgentFailure,
    AgentFileOffer,
    AgentRequest,
    AgentTextChunk,
    AgentToolCall,
    AgentToolResult,
    Frame,
)


async def ask(
    session: aiohttp.ClientSession, endpoint: Endpoint, request: AgentRequest, timings: Timings
) -> AsyncGenerator[Frame, None]:
    """Send one request and yield its frames, up to one terminal frame.

    The WebSocket is closed before the terminal frame is yielded, so that the next request of the same chat does not
    find the chat in use. A caller that stops earlier closes the generator (`contextlib.aclosing`), which disconnects
    within `timings.close_s`; a cancellation disconnects at once.
    """
    end: Frame | None = None
    joiner, limit = SurrogateJoiner(), FrameRateLimit()
    try:
        async with connected(session, endpoint, request.platform_chat_id, timings) as connection:
            await _await_status(connection, timings)
            await connection.send(encode_request(request))
            while end is None:
                frame = await _next_frame(connection, timings, limit)
                match frame:
                    case AgentEnd() | AgentError() | AgentFailure():
                        end = frame
                    case AgentTextChunk(text):
                        if whole := joiner.feed(text):
                            yield AgentTextChunk(whole)
                    case (
                        AgentToolCall() | AgentToolResult() | AgentCustomUpdate() | AgentFileOffer()
                    ):
                        yield frame
                    case None:
                        continue
                    case _:
                        assert_never(frame)
    except RequestFailed as failure:
        end = failure.frame
    if rest := joiner.flush():
        yield AgentTextChunk(rest)
    yield end


async def _await_status(connection: Connection, timings: Timings) -> None:
    """Receive the first frame, which must be `STATUS`."""
    data = await connection.receive(timings.status_s)
    if data is None:
        raise RequestFailed("protocol", f"no STATUS within {timings.status_s:g} s")
    if not isinstance(_decoded(data), Status):
        raise RequestFailed("protocol", "the first frame was not STATUS")


async def _next_frame(
    connection: Connection, timings: Timings, limit: FrameRateLimit
) -> Frame | None:
    """Return the next frame, or None for one that is ignored."""
    data = await connection.receive(timings.silence_s)
    if data is None:
        raise RequestFailed("silent", f"the agent sent nothing for {timings.silence_s:g} s")
    frame = _decoded(data)
    await limit.consume(len(data), is_text=isinstance(frame, AgentTextChunk) and frame.text != "")
    return None if isinstance(frame, Status) else frame


def _decoded(data: str) -> Frame | Status | None:
    try:
        return decode_frame(data)
    except ProtocolError as error:
        raise RequestFailed("protocol", str(error)) from None

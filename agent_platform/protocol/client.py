"""One request to one agent over its WebSocket, as a stream of frames with exactly one end.

What an agent or the network does never comes out as an exception: it becomes the terminal frame
(contract D10). Retrying is the runtime's, which knows the turn; here each request is one attempt.
"""

from collections.abc import AsyncGenerator

import aiohttp

from agent_platform.errors import ConversationBroke, ProtocolFault
from agent_platform.protocol.connection import Connection, Endpoint, Timings, connected
from agent_platform.protocol.frames import Ready, decode_frame, encode_request
from agent_platform.protocol.rate_limit import Pace
from agent_platform.surrogates import PairJoiner
from machines.talk import AgentBroke, AgentEnded, AgentRefused, AgentRequest, AgentSaid, Frame


async def ask(
    session: aiohttp.ClientSession,
    endpoint: Endpoint,
    request: AgentRequest,
    timings: Timings,
) -> AsyncGenerator[Frame, None]:
    """Ask once and yield what the agent says, up to one terminal frame.

    When the terminal frame is yielded the WebSocket is already closed, so that the next request of
    the same chat does not meet its predecessor. A caller who stops earlier closes the generator
    (`contextlib.aclosing`), which hangs up within `timings.close_s`; a cancellation hangs up at once.
    """
    end: Frame | None = None
    pairs, pace = PairJoiner(), Pace()
    try:
        async with connected(session, endpoint, request.platform_chat_id, timings) as connection:
            await _await_status(connection, timings)
            await connection.say(encode_request(request))
            while end is None:
                frame = await _next_frame(connection, timings, pace)
                match frame:
                    case AgentEnded() | AgentRefused() | AgentBroke():
                        end = frame
                    case AgentSaid(text):
                        if whole := pairs.join(text):
                            yield AgentSaid(whole)
                    case None:
                        continue
                    case _:
                        yield frame
    except ConversationBroke as broke:
        end = broke.frame
    if rest := pairs.rest():
        yield AgentSaid(rest)
    yield end


async def _await_status(connection: Connection, timings: Timings) -> None:
    """Take the first frame, which must be `STATUS`."""
    data = await connection.hear(timings.status_s)
    if data is None:
        raise _fault(f"no STATUS within {timings.status_s:g} s")
    if not isinstance(_decoded(data), Ready):
        raise _fault("the first frame was not STATUS")


async def _next_frame(connection: Connection, timings: Timings, pace: Pace) -> Frame | None:
    """Return the next frame, or None for one that says nothing to us."""
    data = await connection.hear(timings.silence_s)
    if data is None:
        silence = f"the agent said nothing for {timings.silence_s:g} s"
        raise ConversationBroke(AgentBroke("silent", silence))
    frame = _decoded(data)
    await pace.took(len(data), is_text=isinstance(frame, AgentSaid) and frame.text != "")
    return None if isinstance(frame, Ready) else frame


def _decoded(data: str) -> Frame | Ready | None:
    try:
        return decode_frame(data)
    except ProtocolFault as fault:
        raise _fault(str(fault)) from None


def _fault(reason: str) -> ConversationBroke:
    return ConversationBroke(AgentBroke("protocol", reason))

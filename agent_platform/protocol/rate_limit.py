"""Limits the rate of frames from one agent with a token bucket, so that no agent occupies the event loop.

Text frames are free, because an answer is bounded (contract E13). Other frames (tools, progress and so on) may come in
a burst and then at a rate far above what agents need. Faster frames wait in the connection, whose flow control slows
down the agent.
"""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

BURST_TOKENS = 4_000.0
TOKENS_PER_S = 1_000.0
"""The refill rate. A frame costs one token, and one more for each full `CHARS_PER_TOKEN`."""
CHARS_PER_TOKEN = 4_096
MAX_DEBT_TOKENS = 20.0
"""How far the bucket may be overdrawn before a wait: a few long waits cost less than many short ones."""
FRAMES_PER_CHECKPOINT = 32
"""After so many frames the task yields to others, even if the next frame has already arrived."""


class FrameRateLimit:
    """The token bucket of one request. `now` and `sleep` are the event loop's."""

    def __init__(
        self,
        now: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._tokens = BURST_TOKENS
        self._refilled_at = now()
        self._frames = 0

    async def consume(self, chars: int, *, is_text: bool) -> None:
        """Count a frame that was received; return when the next one may be received."""
        self._frames += 1
        if self._frames % FRAMES_PER_CHECKPOINT == 0:
            await anyio.lowlevel.checkpoint()
        if is_text:
            return
        now = self._now()
        self._tokens = min(BURST_TOKENS, self._tokens + (now - self._refilled_at) * TOKENS_PER_S)
        self._refilled_at = now
        self._tokens -= 1 + chars // CHARS_PER_TOKEN
        if self._tokens < -MAX_DEBT_TOKENS:
            await self._sleep(-self._tokens / TOKENS_PER_S)

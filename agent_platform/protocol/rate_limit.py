"""How fast frames are taken from one agent: as fast as answers come, and not so fast that others would notice.

An agent that sends tools, progress or anything else at full speed, for as long as a turn may take, would keep the
event loop busy with nothing. Text is not counted: an answer is bounded (contract E13). Everything else may come in a
burst, and after that at a pace that no agent at work reaches; what comes faster waits in the connection, which makes
the agent wait.
"""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

BURST = 4_000.0
A_SECOND = 1_000.0
"""How many units may come in a second: a frame is one, and so are each 4 KiB of it."""
UNIT_CHARS = 4_096
LONGEST_DEBT = 20.0
"""It is waited for so many units at once, because many short waits cost more than they save."""
FRAMES_A_TURN = 32
"""After so many frames that were there already, others have their turn."""


class Pace:
    """Counts the frames of one request. `now` and `sleep` are the event loop's."""

    def __init__(
        self,
        now: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._units = BURST
        self._counted_at = now()
        self._frames = 0

    async def took(self, chars: int, *, is_text: bool) -> None:
        """Count a frame that was taken; return when the next one may be."""
        self._frames += 1
        if self._frames % FRAMES_A_TURN == 0:
            await anyio.lowlevel.checkpoint()
        if is_text:
            return
        now = self._now()
        self._units = min(BURST, self._units + (now - self._counted_at) * A_SECOND)
        self._counted_at = now
        self._units -= 1 + chars // UNIT_CHARS
        if self._units < -LONGEST_DEBT:
            await self._sleep(-self._units / A_SECOND)

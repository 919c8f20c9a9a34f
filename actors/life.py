"""The bot's own state: its machine, saved and logged at each transition (contract L1)."""

import structlog

from actors.ports import Clock
from machines.lifecycle import LIFECYCLE, Life
from store import Journal
from store.records import Transition


class BotLife:
    """Runs the bot's machine; the only place that changes its state."""

    def __init__(self, journal: Journal, clock: Clock, life: Life) -> None:
        self._journal = journal
        self._clock = clock
        self.life = life

    async def happened(self, fact_type: type, reason: str) -> None:
        """Apply one event, constructed as `fact_type(at=…, reason=…)`.

        Raises:
            IllegalEvent: the machine refuses it in the present state.
        """
        now = self._clock.now()
        step = LIFECYCLE.step(self.life, fact_type(at=now, reason=reason))
        source, target = self.life.state, step.data.state
        self.life = Life(target, now, reason, step.data.was_live)
        transition = Transition("bot", now, step.arrow.event, source, target, reason)
        await self._journal.keep_life(self.life, transition)
        structlog.get_logger().info(
            "bot_state_changed", **{"from": source, "to": target, "reason": reason}
        )

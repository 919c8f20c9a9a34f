"""The bot's life: its machine, kept in the database and logged at each change (contract L1)."""

import structlog

from actors.ports import Clock
from machines.lifecycle import LIFECYCLE, Life
from store import Journal
from store.records import Transition


class BotLife:
    """The bot's own machine, and the one place that moves it."""

    def __init__(self, journal: Journal, clock: Clock, life: Life) -> None:
        self._journal = journal
        self._clock = clock
        self.life = life

    async def happened(self, fact_type: type, reason: str) -> None:
        """Take one event of the lifecycle, built as `fact_type(at=…, reason=…)`.

        Raises:
            IllegalEvent: the life's state refuses it.
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

"""The bot's own state: its machine, saved and logged at each transition (contract L1)."""

import structlog
from msgspec.structs import replace

from actors.ports import Clock
from machines.bot.machine import LIFECYCLE, Life, LifecycleEvent
from store import Journal
from store.records import Transition


class BotLife:
    """Runs the bot's machine; the only place that changes its state."""

    def __init__(self, journal: Journal, clock: Clock, life: Life) -> None:
        self._journal = journal
        self._clock = clock
        self.life = life

    async def happened(self, event: LifecycleEvent, reason: str) -> None:
        """Take one event of the lifecycle.

        Raises:
            IllegalEvent: the current state refuses it.
        """
        now = self._clock.now()
        step = LIFECYCLE.step(self.life, event)
        source, target = self.life.state, step.data.state
        self.life = replace(step.data, since=now, reason=reason)
        transition = Transition("bot", now, step.arrow.event, source, target, reason)
        await self._journal.keep_life(self.life, transition)
        structlog.get_logger().info(
            "bot_state_changed", **{"from": source, "to": target, "reason": reason}
        )

"""The bot's own state: its machine, saved and logged at each transition (contract L1)."""

import structlog
from msgspec.structs import replace

from actors.ports import Clock
from machines.bot.machine import BOT, BotState, LifecycleEvent
from store import Journal
from store.records import TransitionRecord


class BotStateKeeper:
    """Runs the bot's machine; the only place that changes its state."""

    def __init__(self, journal: Journal, clock: Clock, bot_state: BotState) -> None:
        self._journal = journal
        self._clock = clock
        self.bot_state = bot_state

    async def apply(self, event: LifecycleEvent, reason: str) -> None:
        """Take one event of the lifecycle.

        Raises:
            IllegalEvent: the current state refuses it.
        """
        now = self._clock.now()
        step = BOT.step(self.bot_state, event)
        source, target = self.bot_state.state, step.data.state
        self.bot_state = replace(step.data, since=now, reason=reason)
        transition = TransitionRecord("bot", now, step.transition.event, source, target, reason)
        await self._journal.save_bot_state(self.bot_state, transition)
        structlog.get_logger().info(
            "bot_state_changed", **{"from": source, "to": target, "reason": reason}
        )

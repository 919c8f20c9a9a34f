"""Provides the context of each step: the sentences, the access rules, the agents, the time, the next free id."""

from collections.abc import Callable, Mapping

from actors.ports import Clock
from machines.access import Access
from machines.context import Agents, StepContext
from machines.i18n import Catalog
from machines.ids import UserId
from machines.room.binding import first_platform_number
from machines.user.preferences import Preferences

_DEFAULT = Preferences()


class ContextProvider:
    """Creates the `StepContext` of each step. `agents` is called each time, because the registry can be reloaded."""

    def __init__(
        self,
        *,
        clock: Clock,
        catalog: Catalog,
        access: Access,
        agents: Callable[[], Agents],
        agent_retry_s: float,
        agent_max_turn_s: float,
        mock_agents: bool = False,
        catalogs: Mapping[str, Catalog] | None = None,
    ) -> None:
        self._clock = clock
        self._catalog = catalog
        self._catalogs = catalogs or {}
        self.access = access
        self.agents = agents
        self._agent_retry_s = agent_retry_s
        self._agent_max_turn_s = agent_max_turn_s
        self.mock_agents = mock_agents
        self.platform_chat_seq = 0
        self._preferences: dict[UserId, Preferences] = {}

    def step_context(self) -> StepContext:
        """Return the context of the next step."""
        now = self._clock.now()
        return StepContext(
            now=now,
            catalog=self._catalog,
            catalogs=self._catalogs,
            access=self.access,
            agents=self.agents(),
            preferences=self.preferences,
            next_platform_chat_id=str(self._next_platform_number(now)),
            agent_retry_s=self._agent_retry_s,
            agent_max_turn_s=self._agent_max_turn_s,
            mock_agents=self.mock_agents,
        )

    def _next_platform_number(self, now: float) -> int:
        """Return an unused number, also when the database was lost (contract A5)."""
        if self.platform_chat_seq:
            return self.platform_chat_seq + 1
        return first_platform_number((int(now * 1000),))

    def preferences(self, user_id: UserId) -> Preferences:
        """Return a user's preferences; default preferences take no memory."""
        return self._preferences.get(user_id, _DEFAULT)

    def load_preferences(self, preferences: Mapping[UserId, Preferences]) -> None:
        """Load the stored preferences, at start."""
        self._preferences.update(preferences)

    def set_preferences(self, user_id: UserId, preferences: Preferences) -> None:
        """Use these preferences from the next step on."""
        self._preferences[user_id] = preferences

    def raise_platform_chat_seq(self, seq: int) -> None:
        """Raise the highest number in use: numbers up to it are never given out again (contract A5)."""
        self.platform_chat_seq = max(self.platform_chat_seq, seq)

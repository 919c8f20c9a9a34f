"""What every step may know: the words, who may talk, the agents, the time, and the next free context id."""

from collections.abc import Callable, Mapping

from actors.ports import Clock
from machines.access import Access
from machines.binding import first_platform_number, platform_number
from machines.ids import UserId
from machines.preferences import Preferences
from machines.speech import Speech
from machines.world import Agents, World

_NOTHING_CHOSEN = Preferences()


class Surroundings:
    """Makes the `World` of each step. `agents` is asked anew each time: the registry can be reloaded."""

    def __init__(
        self,
        *,
        clock: Clock,
        speech: Speech,
        access: Access,
        agents: Callable[[], Agents],
        agent_retry_s: float,
        agent_max_turn_s: float,
        mock_agents: bool = False,
        platform_chat_seq: int = 0,
    ) -> None:
        self._clock = clock
        self._speech = speech
        self.access = access
        self.agents = agents
        self._agent_retry_s = agent_retry_s
        self._agent_max_turn_s = agent_max_turn_s
        self._mock_agents = mock_agents
        self.platform_chat_seq = platform_chat_seq
        self._preferences: dict[UserId, Preferences] = {}

    def world(self) -> World:
        """Return the surroundings of the next step."""
        now = self._clock.now()
        return World(
            now=now,
            speech=self._speech,
            access=self.access,
            agents=self.agents(),
            preferences=self.preferences,
            next_platform_chat_id=str(self._next_platform_number(now)),
            agent_retry_s=self._agent_retry_s,
            agent_max_turn_s=self._agent_max_turn_s,
            mock_agents=self._mock_agents,
        )

    def _next_platform_number(self, now: float) -> int:
        """Return a number that was never given out, by a bot that lost all it knew either (contract A5)."""
        if self.platform_chat_seq:
            return self.platform_chat_seq + 1
        return first_platform_number((int(now * 1000),))

    def preferences(self, user_id: UserId) -> Preferences:
        """Return what a user chose; users who chose nothing take no memory."""
        return self._preferences.get(user_id, _NOTHING_CHOSEN)

    def remember(self, preferences: Mapping[UserId, Preferences]) -> None:
        """Take in what the database holds, at start."""
        self._preferences.update(preferences)

    def prefers(self, user_id: UserId, preferences: Preferences) -> None:
        """Let a user's choice hold from the next step on."""
        self._preferences[user_id] = preferences

    def took(self, platform_chat_id: str) -> None:
        """Never give this `platform_chat_id` out again (contract A5)."""
        self.raise_platform_chat_seq(platform_number(platform_chat_id))

    def raise_platform_chat_seq(self, seq: int) -> None:
        """Note the highest context id known; it only ever grows."""
        self.platform_chat_seq = max(self.platform_chat_seq, seq)

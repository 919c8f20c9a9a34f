"""Slots for calls to agents: so many at once, and always some left for an agent and a user who hold none.

A mute agent holds its calls until its silence is over, a chatty one until its time is; both may have thousands of
rooms. So the more somebody holds, the more they have to leave free: a call begins while twice the calls of its user
and those of its agent together are fewer than twice the free slots. Who holds none finds a slot as long as one is
free; who holds many waits until others have theirs. One user with one agent gets two fifths of all slots, all users of
one agent two thirds, the next agent two thirds of the rest, and so on (contracts D11, D14).
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from machines.ids import AgentId, UserId

SHARE = 2
"""How many slots may be held for each that is free."""
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Party:
    """Whose call it is: the agent that is asked, and the user who asks."""

    agent_id: AgentId
    user_id: UserId


@dataclass(eq=False, slots=True)
class _Waiter:
    """One call that waits; `admitted` is set when it has its slot."""

    admitted: anyio.Event = field(default_factory=anyio.Event)


class CallSlots:
    """Who has a slot gives it back with `leave`."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._of_agent: Counter[AgentId] = Counter()
        self._of_user: Counter[UserId] = Counter()
        self._waiting: OrderedDict[AgentId, OrderedDict[UserId, deque[_Waiter]]] = OrderedDict()

    def enter(self, party: Party) -> bool:
        """Take a slot, if this party may have one now."""
        if not self._may_enter(party):
            return False
        self._free -= 1
        self._of_agent[party.agent_id] += 1
        self._of_user[party.user_id] += 1
        return True

    async def wait(self, party: Party) -> None:
        """Return with a slot; whoever is cancelled has none."""
        waiter = _Waiter()
        users = self._waiting.setdefault(party.agent_id, OrderedDict())
        users.setdefault(party.user_id, deque()).append(waiter)
        try:
            # No deadline here: the turn has one, and hangs up.
            await waiter.admitted.wait()
        except BaseException:
            if waiter.admitted.is_set():
                self.leave(party)
            else:
                self._forget(party, waiter)
            raise

    def leave(self, party: Party) -> None:
        """Give a slot back, and let in whoever may have one now."""
        self._free += 1
        _count_down(self._of_agent, party.agent_id)
        _count_down(self._of_user, party.user_id)
        while (admitted := self._next()) is not None:
            self.enter(admitted)
            waiter = self._waiting[admitted.agent_id][admitted.user_id][0]
            self._forget(admitted, waiter)
            waiter.admitted.set()

    def _may_enter(self, party: Party) -> bool:
        held = 2 * self._of_user[party.user_id] + self._of_agent[party.agent_id]
        return held < SHARE * self._free

    def _next(self) -> Party | None:
        """Return who is to be let in: agents take turns, and among those who wait for one, its users."""
        for agent_id, users in self._waiting.items():
            if self._of_agent[agent_id] >= SHARE * self._free:
                continue
            for user_id in users:
                if self._may_enter(party := Party(agent_id, user_id)):
                    return party
        return None

    def _forget(self, party: Party, waiter: _Waiter) -> None:
        """Take a waiter out of its queue; its user and agent go behind the others."""
        users = self._waiting[party.agent_id]
        queue = users[party.user_id]
        queue.remove(waiter)
        users.move_to_end(party.user_id)
        self._waiting.move_to_end(party.agent_id)
        if not queue:
            del users[party.user_id]
        if not users:
            del self._waiting[party.agent_id]


def _count_down(counter: Counter[K], key: K) -> None:
    """Count one less; who holds none takes no memory."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

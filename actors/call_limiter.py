"""Slots for calls to agents: a limited number, shared fairly between agents and users.

A silent agent holds its calls until the silence limit, a talkative one until the turn's limit, and both may have
thousands of rooms. So an agent or a user must leave more slots free the more it holds: a call starts while twice the
calls of its user plus the calls of its agent are fewer than twice the free slots. An agent and a user without a call
get a slot as long as one is free. One user with one agent gets two fifths of all slots, all users of one agent two
thirds, the next agent two thirds of the rest, and so on (contracts D11, D14).
"""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import TypeVar

import anyio

from machines.ids import AgentId, UserId

SHARE = 2
"""How many slots may be held for each free one."""
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent that is asked, and the user who asks."""

    agent_id: AgentId
    user_id: UserId


class CallLimiter:
    """A fair semaphore: each slot taken by `enter` or `wait` is given back by `leave`."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._of_agent: Counter[AgentId] = Counter()
        self._of_user: Counter[UserId] = Counter()
        self._waiting: OrderedDict[AgentId, OrderedDict[UserId, deque[anyio.Event]]] = OrderedDict()

    def enter(self, party: Caller) -> bool:
        """Take a slot, if this party may have one now."""
        if not self._may_enter(party):
            return False
        self._free -= 1
        self._of_agent[party.agent_id] += 1
        self._of_user[party.user_id] += 1
        return True

    async def wait(self, party: Caller) -> None:
        """Wait for a slot and take it; after a cancellation no slot is held."""
        admitted = anyio.Event()
        users = self._waiting.setdefault(party.agent_id, OrderedDict())
        users.setdefault(party.user_id, deque()).append(admitted)
        try:
            # No deadline here: the turn has one, and cancels the call.
            await admitted.wait()
        except BaseException:
            if admitted.is_set():
                self.leave(party)
            else:
                self._remove(party, admitted)
            raise

    def leave(self, party: Caller) -> None:
        """Give a slot back, and admit the waiting calls that may start now."""
        self._free += 1
        _count_down(self._of_agent, party.agent_id)
        _count_down(self._of_user, party.user_id)
        while (following := self._next()) is not None:
            self.enter(following)
            admitted = self._waiting[following.agent_id][following.user_id][0]
            self._remove(following, admitted)
            admitted.set()

    def _may_enter(self, party: Caller) -> bool:
        held = 2 * self._of_user[party.user_id] + self._of_agent[party.agent_id]
        return held < SHARE * self._free

    def _next(self) -> Caller | None:
        """Return the next party to admit: agents take turns, and so do the users of one agent."""
        for agent_id, users in self._waiting.items():
            if self._of_agent[agent_id] >= SHARE * self._free:
                continue
            for user_id in users:
                if self._may_enter(party := Caller(agent_id, user_id)):
                    return party
        return None

    def _remove(self, party: Caller, admitted: anyio.Event) -> None:
        """Remove a waiting call from its queue; its user and its agent move behind the others."""
        users = self._waiting[party.agent_id]
        queue = users[party.user_id]
        queue.remove(admitted)
        users.move_to_end(party.user_id)
        self._waiting.move_to_end(party.agent_id)
        if not queue:
            del users[party.user_id]
        if not users:
            del self._waiting[party.agent_id]


def _count_down(counter: Counter[K], key: K) -> None:
    """Subtract one; a count of zero is removed, so that it takes no memory."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

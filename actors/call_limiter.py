"""Slots for calls to agents: a limited number, shared fairly between agents and users.

A silent agent holds its slots until the silence limit, an agent that sends without end until the turn's limit, and both
may have thousands of rooms. So an agent or a user with more calls must leave more slots free: a call starts while
`2 * calls of the user + calls of the agent < SHARE * free slots`. An agent and a user without a call get a slot as long
as one is free. One user with one agent gets two fifths of all slots, all users of one agent two thirds, the next agent
two thirds of the rest, and so on (contracts D11, D14).
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
    """The agent of a call, and the user whose message started it."""

    agent_id: AgentId
    user_id: UserId


class CallLimiter:
    """A fair semaphore: `release` frees a slot that `try_acquire` or `acquire` got."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._of_agent: Counter[AgentId] = Counter()
        self._of_user: Counter[UserId] = Counter()
        self._waiting: OrderedDict[AgentId, OrderedDict[UserId, deque[anyio.Event]]] = OrderedDict()

    def try_acquire(self, caller: Caller) -> bool:
        """Acquire a slot and return true, if this caller may have one now."""
        if not self._may_acquire(caller):
            return False
        self._free -= 1
        self._of_agent[caller.agent_id] += 1
        self._of_user[caller.user_id] += 1
        return True

    async def acquire(self, caller: Caller) -> None:
        """Wait for a slot, after `try_acquire` has failed; after a cancellation no slot is held."""
        admitted = anyio.Event()
        users = self._waiting.setdefault(caller.agent_id, OrderedDict())
        users.setdefault(caller.user_id, deque()).append(admitted)
        try:
            # No deadline here: the turn has one, and cancels the call.
            await admitted.wait()
        except BaseException:
            if admitted.is_set():
                self.release(caller)
            else:
                self._remove(caller, admitted)
            raise

    def release(self, caller: Caller) -> None:
        """Free a slot, and admit the waiting calls that may start now."""
        self._free += 1
        _count_down(self._of_agent, caller.agent_id)
        _count_down(self._of_user, caller.user_id)
        while (next_caller := self._next()) is not None:
            self.try_acquire(next_caller)
            admitted = self._waiting[next_caller.agent_id][next_caller.user_id][0]
            self._remove(next_caller, admitted)
            admitted.set()

    def _may_acquire(self, caller: Caller) -> bool:
        held = 2 * self._of_user[caller.user_id] + self._of_agent[caller.agent_id]
        return held < SHARE * self._free

    def _next(self) -> Caller | None:
        """Return the next caller to admit: agents take turns, and so do the users of one agent."""
        for agent_id, users in self._waiting.items():
            if self._of_agent[agent_id] >= SHARE * self._free:
                continue
            for user_id in users:
                if self._may_acquire(caller := Caller(agent_id, user_id)):
                    return caller
        return None

    def _remove(self, caller: Caller, admitted: anyio.Event) -> None:
        """Remove a waiting call from its queue; its user and its agent move behind the others."""
        users = self._waiting[caller.agent_id]
        queue = users[caller.user_id]
        queue.remove(admitted)
        users.move_to_end(caller.user_id)
        self._waiting.move_to_end(caller.agent_id)
        if not queue:
            del users[caller.user_id]
        if not users:
            del self._waiting[caller.agent_id]


def _count_down(counter: Counter[K], key: K) -> None:
    """Subtract one; a count of zero is removed, so that it takes no memory."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

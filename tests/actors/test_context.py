"""The context of each step: the next free context id (contract A5)."""

from actors.context import ContextProvider
from machines.access import Access
from tests.machines.support import BOT, CATALOG, FewAgents


class StoppedClock:
    """A clock that always returns the same time."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def context_provider(now: float) -> ContextProvider:
    """The context provider of a bot without a known number."""
    return ContextProvider(
        clock=StoppedClock(now),
        catalog=CATALOG,
        access=Access(BOT),
        agents=lambda: FewAgents(),
        agent_retry_s=120.0,
        agent_max_turn_s=1800.0,
    )


def test_the_first_number_is_the_time_in_milliseconds():
    assert (
        context_provider(1_775_000_000.25).step_context().next_platform_chat_id == "1775000000250"
    )


def test_after_the_first_number_the_clock_is_not_used():
    provider = context_provider(1_775_000_000.25)
    provider.raise_platform_chat_seq(int(provider.step_context().next_platform_chat_id))
    assert provider.step_context().next_platform_chat_id == "1775000000251"


def test_known_numbers_continue_from_the_highest():
    provider = context_provider(1_775_000_000.25)
    provider.raise_platform_chat_seq(7)
    assert provider.step_context().next_platform_chat_id == "8"


def test_a_clock_that_was_never_set_gives_a_number_that_can_be_stored():
    assert context_provider(12.5).step_context().next_platform_chat_id == "1"
    assert context_provider(1e15).step_context().next_platform_chat_id == "1"

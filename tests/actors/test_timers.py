"""Timers: each in its time, the earliest first, and a wait that ends when an earlier time is set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from actors.timers import MAX_OUTDATED, Timers
from machines.ids import ActorKey
from tests.actors.fakes import ManualClock
from tests.idle_loop import settle

ANN, BEN = ActorKey("!ann"), ActorKey("!ben")


class TimersFixture:
    """Timers, with the signalled keys and their times in seconds since the start."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.began = self.clock.now()
        self.signalled: list[tuple[float, str]] = []
        self.timers = Timers(self.clock, self._due)

    def set(self, key: ActorKey, in_s: float) -> None:
        self.timers.set(key, self.began + in_s)

    def _due(self, key: ActorKey) -> None:
        self.signalled.append((self.clock.now() - self.began, key))


@asynccontextmanager
async def watching() -> AsyncIterator[TimersFixture]:
    fixture = TimersFixture()
    async with anyio.create_task_group() as group:
        group.start_soon(fixture.timers.run)
        await settle()
        yield fixture
        group.cancel_scope.cancel()


async def test_each_key_is_signalled_once_at_its_time():
    async with watching() as fixture:
        fixture.set(ANN, 2)
        fixture.set(BEN, 1)
        await fixture.clock.advance(10)
        assert fixture.signalled == [(1, BEN), (2, ANN)]


async def test_an_earlier_time_ends_the_wait_for_a_later_one():
    async with watching() as fixture:
        fixture.set(ANN, 100)
        await fixture.clock.advance(1)
        fixture.set(BEN, 2)
        await fixture.clock.advance(2)
        assert fixture.signalled == [(2, BEN)]
        await fixture.clock.advance(100)
        assert fixture.signalled[1:] == [(100, ANN)]


async def test_the_earlier_of_two_times_of_one_key_counts():
    async with watching() as fixture:
        fixture.set(ANN, 5)
        fixture.set(ANN, 3)
        fixture.set(ANN, 4)
        await fixture.clock.advance(10)
        assert fixture.signalled == [(3, ANN)]


async def test_a_past_time_is_due_at_once():
    async with watching() as fixture:
        fixture.set(ANN, -1)
        await settle()
        assert fixture.signalled == [(0, ANN)]


async def test_a_cleared_timer_is_not_signalled():
    async with watching() as fixture:
        fixture.set(ANN, 5)
        fixture.set(BEN, 6)
        fixture.timers.clear(ANN)
        await fixture.clock.advance(10)
        assert fixture.signalled == [(6.0, BEN)]
        fixture.set(ANN, 20)
        await fixture.clock.advance(20)
        assert fixture.signalled[1:] == [(20.0, ANN)]


async def test_outdated_times_are_removed_from_the_heap():
    async with watching() as fixture:
        for number in range(10 * MAX_OUTDATED):
            fixture.set(ANN, 100_000 + number)
            fixture.timers.clear(ANN)
        fixture.set(BEN, 50_000)
        fixture.set(ANN, 60_000)
        assert len(fixture.timers._heap) < 2 * MAX_OUTDATED
        await fixture.clock.advance(70_000)
        assert fixture.signalled == [(50_000.0, BEN), (60_000.0, ANN)]

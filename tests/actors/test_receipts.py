"""Typing is shown only for slow answers, and the markers of a busy room move once a second."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from actors.receipts import MARK_INTERVAL_S, TYPING_DELAY_S, TYPING_INTERVAL_S, Receipts
from actors.task_pool import TaskPool
from machines.ids import EventId, RoomId
from tests.matrix.virtual_time import VirtualClock

ROOM = RoomId("!room")


class RecordingHomeserver:
    """Records the requests to the homeserver, with the time since the start."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._began = clock.now()
        self.typing: list[tuple[float, bool]] = []
        self.marks: list[tuple[float, str, str | None]] = []
        self.mark_delay_s = 0.0

    async def show_typing(self, room_id: RoomId, typing: bool) -> None:
        self.typing.append((self._since(), typing))

    async def mark_read(self, room_id: RoomId, read: EventId, finished: EventId | None) -> None:
        self.marks.append((self._since(), read, finished))
        if self.mark_delay_s:
            await self._clock.sleep(self.mark_delay_s)

    def _since(self) -> float:
        return round(self._clock.now() - self._began, 2)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@asynccontextmanager
async def showing(clock: VirtualClock) -> AsyncIterator[tuple[Receipts, RecordingHomeserver]]:
    homeserver = RecordingHomeserver(clock)
    task_pool = TaskPool(clock)
    receipts = Receipts(homeserver, clock, task_pool)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group, clock.running():
        task_pool.run(group)
        receipts.run(group)
        await anyio.lowlevel.checkpoint()
        yield receipts, homeserver
        group.cancel_scope.cancel()


async def test_a_quick_answer_shows_no_typing(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        for _ in range(5):
            receipts.show_typing(ROOM, True)
            await clock.sleep(TYPING_DELAY_S * 0.9)
            receipts.show_typing(ROOM, False)
        await clock.sleep(TYPING_INTERVAL_S)
    assert homeserver.typing == []


async def test_typing_is_shown_again_until_the_answer_ends(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        receipts.show_typing(ROOM, True)
        await clock.sleep(TYPING_DELAY_S + TYPING_INTERVAL_S + 1)
        receipts.show_typing(ROOM, False)
        await clock.sleep(TYPING_INTERVAL_S)
    again = TYPING_DELAY_S + TYPING_INTERVAL_S
    assert homeserver.typing == [(TYPING_DELAY_S, True), (again, True), (again + 1, False)]


async def test_typing_is_not_interrupted_when_it_is_shown_again(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        for _ in range(12):
            receipts.show_typing(ROOM, True)
            await clock.sleep(10)
        receipts.show_typing(ROOM, False)
        await clock.sleep(1)
    shown = [at for at, typing in homeserver.typing if typing]
    assert all(later - earlier <= TYPING_INTERVAL_S for earlier, later in pairwise(shown))
    assert [at for at, typing in homeserver.typing if not typing] == [120.0]


async def test_the_markers_of_a_quick_answer_move_together(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        receipts.mark_read(ROOM, EventId("$one"))
        receipts.mark_read(ROOM, EventId("$one"), finished=EventId("$one"))
        await clock.sleep(5)
    assert [mark[1:] for mark in homeserver.marks] == [("$one", "$one")]


async def test_a_busy_rooms_markers_move_once_a_second_to_the_newest(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        for number in range(30):
            receipts.mark_read(ROOM, EventId(f"${number}"))
            if number == 20:
                receipts.mark_read(ROOM, EventId("$20"), finished=EventId("$20"))
            await clock.sleep(0.1)
        await clock.sleep(5)
    times = [at for at, _, _ in homeserver.marks]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= MARK_INTERVAL_S - 0.01
    assert len(times) == 4
    assert homeserver.marks[-1][1:] == ("$29", None)
    # A read receipt for a newer message does not move the read position back.
    assert [finished for _, _, finished in homeserver.marks if finished] == ["$20"]


async def test_markers_never_overtake_each_other_on_a_slow_homeserver(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        homeserver.mark_delay_s = 3.5
        receipts.mark_read(ROOM, EventId("$one"))
        await clock.sleep(0.5)
        receipts.mark_read(ROOM, EventId("$two"))
        await clock.sleep(20)
    assert [mark[1] for mark in homeserver.marks] == ["$one", "$two"]
    assert homeserver.marks[1][0] - homeserver.marks[0][0] >= homeserver.mark_delay_s


async def test_an_idle_room_has_no_entry(clock: VirtualClock) -> None:
    async with showing(clock) as (receipts, homeserver):
        receipts.mark_read(ROOM, EventId("$one"))
        await clock.sleep(5)
        began = clock.now()
        receipts.mark_read(ROOM, EventId("$two"))
        await clock.sleep(1)
    # Otherwise it would have waited for a second.
    assert homeserver.marks[-1][0] - round(began - 1_000_000.0, 2) < 0.1

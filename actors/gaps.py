"""Reads the history that a sync left out, several rooms concurrently (contracts D4, D14).

A gap is a row of the journal. It is read a page at a time, oldest first. After a crash it is read again; events that
are in the inbox already are not inserted twice.
"""

from collections.abc import Callable, Iterable

import anyio
import structlog
from anyio.abc import TaskGroup

from actors.ports import Clock, Homeserver
from machines.errors import HistoryUnavailable, TokenUnknown
from machines.events.matrix import Gap, MatrixEvent
from machines.ids import RoomId
from store import Journal
from store.records import InboxRow

MAX_CONCURRENT_PAGES = 10
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
GIVE_UP_AFTER_S = 3600.0
"""How long a failing history request is retried."""


class GapFiller:
    """Fills gaps in a task group."""

    def __init__(
        self,
        homeserver: Homeserver,
        journal: Journal,
        clock: Clock,
        deliver: Callable[[Iterable[InboxRow]], None],
    ) -> None:
        self._homeserver = homeserver
        self._journal = journal
        self._clock = clock
        self._deliver = deliver
        self._limit = anyio.CapacityLimiter(MAX_CONCURRENT_PAGES)
        self._filling: set[RoomId] = set()
        self._reopened: set[RoomId] = set()
        self._group: TaskGroup | None = None

    async def run(self, group: TaskGroup) -> None:
        """Fill the gaps of an earlier process, and from now on those that are opened."""
        stored = await self._journal.gaps()
        self._group = group
        self.open(gap.room_id for gap in stored)

    def open(self, room_ids: Iterable[RoomId]) -> None:
        """Fill the gaps of these rooms; before `run` nothing is started."""
        for room_id in room_ids:
            if room_id in self._filling:
                # The gap may have been opened after its row was last read.
                self._reopened.add(room_id)
            elif self._group is not None:
                self._filling.add(room_id)
                self._group.start_soon(self._fill, room_id)

    def may_have_gap(self, room_id: RoomId) -> bool:
        """Whether a part of this room's history may still be unread."""
        return self._group is None or room_id in self._filling

    async def _fill(self, room_id: RoomId) -> None:
        self._reopened.add(room_id)
        while room_id in self._reopened:
            self._reopened.remove(room_id)
            gap = await self._journal.gap_of(room_id)
            while gap is not None:
                await self._fill_one(gap)
                gap = await self._journal.close_gap(gap)
        self._filling.remove(room_id)

    async def _fill_one(self, gap: Gap) -> None:
        """Read a gap to its end, with retries while the homeserver fails."""
        logger = structlog.get_logger().bind(room_id=gap.room_id)
        pause_s, give_up_at = FIRST_PAUSE_S, self._clock.now() + GIVE_UP_AFTER_S
        while True:
            try:
                await self._read(gap)
            except TokenUnknown as error:
                logger.warning("gap_refused", reason=str(error))
                # The messages of a refused gap are found from the bot's read position (contract D12).
                await self._save(gap, await self._homeserver.unanswered_messages(gap.room_id))
            except HistoryUnavailable as error:
                if self._clock.now() < give_up_at:
                    first = pause_s == FIRST_PAUSE_S
                    log = logger.warning if first else logger.debug
                    log("gap_unreadable", reason=str(error), pause_s=pause_s)
                    await self._clock.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    continue
                logger.error("gap_lost", reason=str(error))
            return

    async def _read(self, gap: Gap) -> None:
        pages = self._homeserver.history(gap)
        while True:
            async with self._limit:
                events = await anext(pages, None)
                if events is None:
                    return
                await self._save(gap, events)

    async def _save(self, gap: Gap, events: Iterable[MatrixEvent]) -> None:
        self._deliver(await self._journal.save_history(gap, events, self._clock.now()))

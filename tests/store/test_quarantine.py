"""The quarantine is bounded, and no origin displaces the entries of others (contracts D9, D14)."""

from typing import Literal

import pytest

from machines.events.matrix import Quarantined, SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from store import Database, Journal, quarantine

STRANGER = UserId("@mallory:elsewhere.net")


async def note(journal: Journal, *items: Quarantined) -> None:
    await journal.save_sync_batch(SyncBatch(SyncToken("s"), quarantined=items), 1.0)


def broken(event_id: str | None, room_id: str | None = "!room", times: int = 1) -> Quarantined:
    sender = None if room_id else STRANGER
    known = EventId(event_id) if event_id else None
    room = RoomId(room_id) if room_id else None
    source: Literal["timeline", "to_device"] = "timeline" if room_id else "to_device"
    return Quarantined(source, room, known, "broken", sender, times)


async def quarantined(database: Database) -> list[tuple]:
    rows = await database.run(
        lambda raw: raw.execute(
            "SELECT coalesce(room_id, sender), count(*), sum(times) FROM quarantine GROUP BY 1"
        ).fetchall()
    )
    return [tuple(row) for row in rows]


async def test_repetitions_of_one_sender_are_counted_in_one_row(database, journal):
    for _ in range(30):
        await note(journal, broken(None, None, times=3))
    assert await quarantined(database) == [(STRANGER, 1, 90)]


async def test_the_log_of_one_room_is_bounded_and_keeps_the_newest(database, journal, monkeypatch):
    monkeypatch.setattr(quarantine, "MAX_PER_ORIGIN", 5)
    await note(journal, broken("$a", "!quiet"))
    for number in range(20):
        await note(journal, broken(f"${number}"))
    assert await quarantined(database) == [("!quiet", 1, 1), ("!room", 5, 5)]


async def test_the_log_is_bounded_in_total_and_the_largest_origins_lose_entries(
    database, journal, monkeypatch
):
    monkeypatch.setattr(quarantine, "MAX_TOTAL", 50)
    await note(journal, *(broken(f"$q{number}", "!quiet") for number in range(5)))
    for number in range(9):
        names = (broken(f"${number}.{each}", f"!{number % 3}") for each in range(20))
        await note(journal, *names)
    rows = {place: count for place, count, _ in await quarantined(database)}
    assert rows["!quiet"] == 5
    assert len(rows) == 4
    assert sum(rows.values()) <= 50


async def test_if_every_origin_has_few_entries_the_oldest_are_deleted(
    database, journal, monkeypatch
):
    monkeypatch.setattr(quarantine, "MAX_TOTAL", 100)
    for number in range(120):
        await note(journal, broken(f"${number}", f"!{number}"))
    rooms = {room for room, _, _ in await quarantined(database)}
    assert 80 <= len(rooms) <= 100
    assert "!119" in rooms
    assert "!0" not in rooms


@pytest.mark.parametrize(
    ("counts", "maximum", "limit"),
    [([], 10, 0), ([5], 100, 5), ([50, 50], 100, 45), ([1, 99, 99], 100, 44), ([3] * 100, 100, 0)],
)
def test_the_common_limit_is_the_highest_that_keeps_the_total_below_the_maximum(
    counts, maximum, limit
):
    assert quarantine.common_limit(counts, maximum) == limit

"""What strangers can make the bot keep is bounded, and nobody pushes out what others sent (contracts D14, Y5)."""

from typing import Literal

import pytest

from machines.facts import KeyMessage, Quarantined, SyncBatch
from machines.ids import EventId, RoomId, SyncToken, UserId
from store import Database, Journal, limits
from tests.store.values import ANNA

STRANGER = UserId("@mallory:elsewhere.net")


def keys(sender: UserId, count: int, size: int = 10) -> tuple[KeyMessage, ...]:
    return tuple(
        KeyMessage(sender, "m.room.encrypted", f"{number:0{size}}") for number in range(count)
    )


async def keep(journal: Journal, *messages: KeyMessage) -> None:
    await journal.keep_batch(SyncBatch(SyncToken("s"), to_device=messages), 1.0)


async def note(journal: Journal, *items: Quarantined) -> None:
    await journal.keep_batch(SyncBatch(SyncToken("s"), quarantined=items), 1.0)


async def held(database: Database) -> dict[str, tuple[int, int]]:
    """How many messages of each sender are kept, and how many bytes they have."""
    rows = await database.run(
        lambda raw: raw.execute(
            "SELECT sender, count(*), sum(length(payload)) FROM to_device GROUP BY sender"
        ).fetchall()
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def test_a_key_message_is_kept_whole_with_its_sender_and_type(database, journal):
    await keep(journal, KeyMessage(ANNA, "m.room.encrypted", "{}"))
    rows = await database.run(
        lambda raw: raw.execute("SELECT sender, type, size, payload FROM to_device").fetchall()
    )
    assert [tuple(row) for row in rows] == [(ANNA, "m.room.encrypted", 2, "{}")]


async def test_a_sender_keeps_the_newest_of_their_own(database, journal, monkeypatch):
    monkeypatch.setattr(limits, "KEYS_OF_A_SENDER", 5)
    await keep(journal, *keys(ANNA, 2))
    await keep(journal, *keys(STRANGER, 20))
    assert await held(database) == {ANNA: (2, 20), STRANGER: (5, 50)}
    newest = await database.run(
        lambda raw: [row[0] for row in raw.execute("SELECT payload FROM to_device ORDER BY seq")]
    )
    assert [int(each) for each in newest] == [0, 1, 15, 16, 17, 18, 19]


async def test_the_bytes_of_a_sender_are_bounded_too(database, journal, monkeypatch):
    monkeypatch.setattr(limits, "KEY_BYTES_OF_A_SENDER", 350)
    await keep(journal, *keys(STRANGER, 20, size=100))
    assert await held(database) == {STRANGER: (3, 300)}


@pytest.mark.parametrize(("limit", "bound"), [("KEYS", 100), ("KEY_BYTES", 1000)])
async def test_in_all_it_is_whoever_holds_the_most_that_loses(
    database, journal, monkeypatch, limit, bound
):
    monkeypatch.setattr(limits, limit, bound)
    await keep(journal, *keys(ANNA, 20))
    monkeypatch.setattr(limits, "LITTLE", 1)
    for number in range(12):
        await keep(journal, *keys(UserId(f"@mallory{number % 3}:elsewhere.net"), 50))
    after = await held(database)
    assert after[ANNA] == (20, 200)
    assert len(after) == 4
    assert sum(count for count, _ in after.values()) <= 100


async def test_where_everybody_sent_little_the_oldest_go(database, journal, monkeypatch):
    monkeypatch.setattr(limits, "KEYS", 100)
    for number in range(120):
        await keep(journal, *keys(UserId(f"@u{number}:here"), 1))
    after = await held(database)
    assert 80 <= len(after) <= 100
    assert "@u119:here" in after
    assert "@u0:here" not in after


async def test_a_flood_of_strangers_takes_no_more_than_the_bounds(database, journal):
    for _ in range(20):
        await keep(journal, *keys(STRANGER, 100, size=16_000))
    assert (await held(database))[STRANGER][1] <= limits.KEY_BYTES_OF_A_SENDER


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


async def test_what_one_sender_does_again_is_counted_in_one_row(database, journal):
    for _ in range(30):
        await note(journal, broken(None, None, times=3))
    assert await quarantined(database) == [(STRANGER, 1, 90)]


async def test_the_log_of_one_room_is_bounded_and_keeps_the_newest(database, journal, monkeypatch):
    monkeypatch.setattr(limits, "QUARANTINED_OF_A_PLACE", 5)
    await note(journal, broken("$a", "!quiet"))
    for number in range(20):
        await note(journal, broken(f"${number}"))
    assert await quarantined(database) == [("!quiet", 1, 1), ("!room", 5, 5)]


async def test_the_log_is_bounded_in_all_and_who_fills_it_loses(database, journal, monkeypatch):
    monkeypatch.setattr(limits, "QUARANTINED", 50)
    await note(journal, *(broken(f"$q{number}", "!quiet") for number in range(5)))
    for number in range(9):
        names = (broken(f"${number}.{each}", f"!{number % 3}") for each in range(20))
        await note(journal, *names)
    rows = {place: count for place, count, _ in await quarantined(database)}
    assert rows["!quiet"] == 5
    assert len(rows) == 4
    assert sum(rows.values()) <= 50


@pytest.mark.parametrize(
    ("holdings", "bound", "each"),
    [([], 10, 0), ([5], 100, 5), ([50, 50], 100, 45), ([1, 99, 99], 100, 44), ([3] * 100, 100, 0)],
)
def test_the_level_is_the_highest_at_which_all_stay_below_the_bound(holdings, bound, each):
    assert limits.level(holdings, bound) == each

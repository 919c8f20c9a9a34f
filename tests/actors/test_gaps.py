"""What a sync left out is read from history, in order, and nobody waits for it (contracts D4, D14)."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from actors.gaps import FIRST_PAUSE_S, GIVE_UP_AFTER_S
from machines.errors import HistoryUnavailable
from machines.events.matrix import BotRemoved, Gap, MatrixEvent
from machines.ids import EventId, RoomId, SyncToken
from tests.actors.fakes import House
from tests.idle_loop import settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "bot.db")


def gap(room: RoomId) -> Gap:
    return Gap(room, SyncToken("s0"), SyncToken("p"))


def asked(house: House) -> list[str]:
    return [request.text for request in house.agents.asked]


def hold_history(house: House) -> anyio.Event:
    """Let every history wait until the event is set."""
    history, ends = house.homeserver.history, anyio.Event()

    async def held(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        await ends.wait()
        async for page in history(gap):
            yield page

    house.homeserver.history = held  # type: ignore[method-assign]
    return ends


def fail_history(house: House, *, after: int) -> anyio.Event:
    """Let every history fail behind its first facts, until the event is set."""
    history, ends = house.homeserver.history, anyio.Event()

    async def failing(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        async for page in history(gap):
            yield page if ends.is_set() else page[:after]
            if not ends.is_set():
                raise HistoryUnavailable("500")

    house.homeserver.history = failing  # type: ignore[method-assign]
    return ends


async def test_a_gap_is_filled_before_what_came_after_it(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("one", "two", "three", "four")]
    house.homeserver.gaps[room] = [(told[0], told[1]), (told[2], told[3])]
    async with house.living():
        house.homeserver.arrives(told[3], gaps=[gap(room)])
    assert asked(house) == ["one", "two", "three", "four"]
    assert house.database.rows("SELECT sync_token FROM bot") == [("s1",)]
    assert house.database.rows("SELECT * FROM gaps") == []


async def test_nobody_waits_for_the_history_of_another_room(house: House):
    room, other = house.with_chats(2)
    told = [house.message(room, body) for body in ("old", "new", "newest")]
    house.homeserver.gaps[room] = [tuple(told)]
    ends = hold_history(house)
    async with house.living():
        house.homeserver.arrives(told[1], house.message(other, "hello"), gaps=[gap(room)])
        await settle()
        house.homeserver.arrives(told[2], house.message(other, "again"))
        await settle()
        assert asked(house) == ["hello", "again"]
        ends.set()
    assert asked(house) == ["hello", "again", "old", "new", "newest"]


async def test_what_comes_while_a_history_is_read_keeps_its_order(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("old", "new")]
    house.homeserver.gaps[room] = [(told[0],)]
    history = house.homeserver.history

    async def growing(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        async for page in history(gap):
            yield page
        if gap.before == "s1":
            house.homeserver.arrives(told[1])
            await settle()
            house.homeserver.gaps[room] = [(told[1],)]

    house.homeserver.history = growing  # type: ignore[method-assign]
    async with house.living():
        house.homeserver.arrives(gaps=[gap(room)])
    assert asked(house) == ["old", "new"]
    assert house.homeserver.calls.count(f"history {room}") == 2


async def test_a_killed_process_leaves_its_gaps_to_the_next(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("old", "new")]
    house.homeserver.gaps[room] = [tuple(told)]
    hold_history(house)
    async with house.living(killed=True):
        house.homeserver.arrives(told[1], gaps=[gap(room)])
        await settle()
    del house.homeserver.history
    async with house.living():
        pass
    assert asked(house) == ["old", "new"]


async def test_a_refused_gap_is_found_again_from_the_bots_place(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("old", "new")]
    house.homeserver.unanswered[room] = tuple(told)
    with capture_logs() as logs:
        async with house.living():
            house.homeserver.arrives(told[1], gaps=[gap(room)])
    assert asked(house) == ["old", "new"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_refused"] == [room]
    assert house.database.rows("SELECT * FROM gaps") == []


async def test_a_stop_ends_the_answer_while_a_history_is_read_and_the_place_stays(house: House):
    """Contracts K9, D12: what the history holds comes behind the turn in hand, and is still to be answered."""
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("long", "old", "!stop")]
    house.agents.mute.add("long")
    house.homeserver.gaps[room] = [tuple(told[1:])]
    ends = hold_history(house)
    async with house.living():
        house.homeserver.arrives(told[0])
        await settle()
        house.homeserver.arrives(told[2], gaps=[gap(room)])
        await house.clock.passes(5.0)
        assert house.agents.closed == ["long"]
        assert [finished for _, _, finished in house.homeserver.markers if finished] == []
        ends.set()
        await house.clock.passes(5.0)
    assert asked(house) == ["long", "old"]
    answers = [event_id for event_id, _ in house.homeserver.replies]
    assert set(answers) == {each.event_id for each in told}


async def test_a_stop_with_no_turn_in_hand_keeps_its_place_behind_the_history(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("old", "!stop")]
    house.agents.mute.add("old")
    house.homeserver.gaps[room] = [tuple(told)]
    async with house.living():
        house.homeserver.arrives(told[1], gaps=[gap(room)])
        await house.clock.passes(5.0)
        assert house.database.rows("SELECT * FROM turns") == []
    assert {event_id for event_id, _ in house.homeserver.replies} == {"$1", "$2"}


async def test_a_history_that_the_homeserver_fails_at_is_read_later(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("old", "new", "newest")]
    house.homeserver.gaps[room] = [tuple(told[:2])]
    ends = fail_history(house, after=1)
    with capture_logs() as logs:
        async with house.living():
            house.homeserver.arrives(told[1], gaps=[gap(room)])
            await settle()
            house.homeserver.arrives(told[2])
            await settle()
            house.homeserver.gaps[room] = [tuple(told)]
            assert asked(house) == ["old"]
            ends.set()
            await house.clock.passes(FIRST_PAUSE_S)
    assert asked(house) == ["old", "new", "newest"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_unreadable"] == [room]
    assert house.database.rows("SELECT * FROM gaps") == []


async def test_a_history_that_stays_unreadable_is_given_up_and_the_room_goes_on(house: House):
    (room,) = house.with_chats()
    told = [house.message(room, body) for body in ("lost", "later")]
    house.homeserver.gaps[room] = [(told[0],)]
    fail_history(house, after=0)
    with capture_logs() as logs:
        async with house.living():
            house.homeserver.arrives(told[0], gaps=[gap(room)])
            await house.clock.passes(2 * GIVE_UP_AFTER_S)
            house.homeserver.arrives(told[1])
    assert asked(house) == ["later"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_lost"] == [room]


async def test_of_a_room_that_the_bot_was_put_out_of_no_history_is_kept(house: House):
    (room,) = house.with_chats()
    house.homeserver.gaps[room] = [(house.message(room, "old"),)]
    ends = hold_history(house)
    async with house.living(killed=True):
        house.homeserver.arrives(gaps=[gap(room)])
        await settle()
        house.homeserver.arrives(BotRemoved(room, EventId("$out"), None, "kicked"))
        await settle()
        ends.set()
        await settle()
    assert asked(house) == []
    assert house.database.rows("SELECT count(*) FROM inbox WHERE kind = 'message'") == [(0,)]

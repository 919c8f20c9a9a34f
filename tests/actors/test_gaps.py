"""The omitted part of a sync is read from history, in order, and no other room waits (contracts D4, D14)."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from actors.gaps import FIRST_PAUSE_S, GIVE_UP_AFTER_S
from machines.errors import HistoryUnavailable
from machines.events.matrix import BotRemoved, Gap, MatrixEvent
from machines.ids import EventId, RoomId, SyncToken
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle

pytestmark = pytest.mark.anyio


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeFixture:
    return RuntimeFixture(tmp_path / "bot.db")


def gap(room: RoomId) -> Gap:
    return Gap(room, SyncToken("s0"), SyncToken("p"))


def requested(runtime: RuntimeFixture) -> list[str]:
    return [request.text for request in runtime.agents.requests]


def hold_history(runtime: RuntimeFixture) -> anyio.Event:
    """Let every history wait until the event is set."""
    history, ends = runtime.homeserver.history, anyio.Event()

    async def held(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        await ends.wait()
        async for page in history(gap):
            yield page

    runtime.homeserver.history = held  # type: ignore[method-assign]
    return ends


def fail_history(runtime: RuntimeFixture, *, after: int) -> anyio.Event:
    """Let every history fail after this number of pages, until the event is set."""
    history, ends = runtime.homeserver.history, anyio.Event()

    async def failing(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        async for page in history(gap):
            yield page if ends.is_set() else page[:after]
            if not ends.is_set():
                raise HistoryUnavailable("500")

    runtime.homeserver.history = failing  # type: ignore[method-assign]
    return ends


async def test_a_gap_is_filled_before_later_messages_are_handled(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("one", "two", "three", "four")]
    runtime.homeserver.gaps[room] = [(messages[0], messages[1]), (messages[2], messages[3])]
    async with runtime.running():
        runtime.homeserver.next_sync(messages[3], gaps=[gap(room)])
    assert requested(runtime) == ["one", "two", "three", "four"]
    assert runtime.database.rows("SELECT sync_token FROM bot") == [("s1",)]
    assert runtime.database.rows("SELECT * FROM gaps") == []


async def test_no_room_waits_for_the_history_of_another(runtime: RuntimeFixture):
    room, other = runtime.with_chats(2)
    messages = [runtime.message(room, body) for body in ("old", "new", "newest")]
    runtime.homeserver.gaps[room] = [tuple(messages)]
    ends = hold_history(runtime)
    async with runtime.running():
        runtime.homeserver.next_sync(messages[1], runtime.message(other, "hello"), gaps=[gap(room)])
        await settle()
        runtime.homeserver.next_sync(messages[2], runtime.message(other, "again"))
        await settle()
        assert requested(runtime) == ["hello", "again"]
        ends.set()
    assert requested(runtime) == ["hello", "again", "old", "new", "newest"]


async def test_messages_that_arrive_while_a_history_is_read_stay_in_order(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("old", "new")]
    runtime.homeserver.gaps[room] = [(messages[0],)]
    history = runtime.homeserver.history

    async def growing(gap: Gap) -> AsyncIterator[tuple[MatrixEvent, ...]]:
        async for page in history(gap):
            yield page
        if gap.before == "s1":
            runtime.homeserver.next_sync(messages[1])
            await settle()
            runtime.homeserver.gaps[room] = [(messages[1],)]

    runtime.homeserver.history = growing  # type: ignore[method-assign]
    async with runtime.running():
        runtime.homeserver.next_sync(gaps=[gap(room)])
    assert requested(runtime) == ["old", "new"]
    assert runtime.homeserver.calls.count(f"history {room}") == 2


async def test_the_gaps_of_a_killed_process_are_filled_by_the_next(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("old", "new")]
    runtime.homeserver.gaps[room] = [tuple(messages)]
    hold_history(runtime)
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(messages[1], gaps=[gap(room)])
        await settle()
    del runtime.homeserver.history
    async with runtime.running():
        pass
    assert requested(runtime) == ["old", "new"]


async def test_messages_of_a_refused_gap_are_found_from_the_read_position(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("old", "new")]
    runtime.homeserver.unanswered[room] = tuple(messages)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(messages[1], gaps=[gap(room)])
    assert requested(runtime) == ["old", "new"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_refused"] == [room]
    assert runtime.database.rows("SELECT * FROM gaps") == []


async def test_a_stop_ends_the_answer_during_a_history_and_the_read_position_stays(
    runtime: RuntimeFixture,
):
    """Contracts K9, D12: messages of the history come after the current turn, and are still unanswered."""
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("long", "old", "!stop")]
    runtime.agents.silent.add("long")
    runtime.homeserver.gaps[room] = [tuple(messages[1:])]
    ends = hold_history(runtime)
    async with runtime.running():
        runtime.homeserver.next_sync(messages[0])
        await settle()
        runtime.homeserver.next_sync(messages[2], gaps=[gap(room)])
        await runtime.clock.advance(5.0)
        assert runtime.agents.closed == ["long"]
        assert [finished for _, _, finished in runtime.homeserver.markers if finished] == []
        ends.set()
        await runtime.clock.advance(5.0)
    assert requested(runtime) == ["long", "old"]
    answers = [event_id for event_id, _ in runtime.homeserver.replies]
    assert set(answers) == {each.event_id for each in messages}


async def test_a_stop_without_a_current_turn_stays_behind_the_history(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("old", "!stop")]
    runtime.agents.silent.add("old")
    runtime.homeserver.gaps[room] = [tuple(messages)]
    async with runtime.running():
        runtime.homeserver.next_sync(messages[1], gaps=[gap(room)])
        await runtime.clock.advance(5.0)
        assert runtime.database.rows("SELECT * FROM turns") == []
    assert {event_id for event_id, _ in runtime.homeserver.replies} == {"$1", "$2"}


async def test_a_history_that_fails_is_read_later(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("old", "new", "newest")]
    runtime.homeserver.gaps[room] = [tuple(messages[:2])]
    ends = fail_history(runtime, after=1)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(messages[1], gaps=[gap(room)])
            await settle()
            runtime.homeserver.next_sync(messages[2])
            await settle()
            runtime.homeserver.gaps[room] = [tuple(messages)]
            assert requested(runtime) == ["old"]
            ends.set()
            await runtime.clock.advance(FIRST_PAUSE_S)
    assert requested(runtime) == ["old", "new", "newest"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_unreadable"] == [room]
    assert runtime.database.rows("SELECT * FROM gaps") == []


async def test_a_history_that_stays_unreadable_is_dropped_and_the_room_continues(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    messages = [runtime.message(room, body) for body in ("lost", "later")]
    runtime.homeserver.gaps[room] = [(messages[0],)]
    fail_history(runtime, after=0)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(messages[0], gaps=[gap(room)])
            await runtime.clock.advance(2 * GIVE_UP_AFTER_S)
            runtime.homeserver.next_sync(messages[1])
    assert requested(runtime) == ["later"]
    assert [line["room_id"] for line in logs if line["event"] == "gap_lost"] == [room]


async def test_no_history_is_saved_for_a_room_that_the_bot_was_removed_from(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.homeserver.gaps[room] = [(runtime.message(room, "old"),)]
    ends = hold_history(runtime)
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(gaps=[gap(room)])
        await settle()
        runtime.homeserver.next_sync(BotRemoved(room, EventId("$out"), None, "kicked"))
        await settle()
        ends.set()
        await settle()
    assert requested(runtime) == []
    assert runtime.database.rows("SELECT count(*) FROM inbox WHERE kind = 'message'") == [(0,)]

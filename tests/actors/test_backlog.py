"""The sync loop pauses if the dispatcher can't keep up, and never for rows that wait for something else (D11, D14)."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from structlog.testing import capture_logs

from actors import dispatcher
from actors.cell import MAX_WAITING, ActorCell
from machines.ids import RoomId
from store import inbox
from tests import idle_loop
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.store.values import save_events

HIGH, LOW = 40, 20
NOWHERE = RoomId("!nowhere")


@pytest.fixture(autouse=True)
def small_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "BACKLOG_HIGH", HIGH)
    monkeypatch.setattr(dispatcher, "BACKLOG_LOW", LOW)


@contextmanager
def assert_sync_never_pauses() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert [line for line in logs if line["event"] == "sync_paused"] == []


def flood_of_commands(runtime: RuntimeFixture, kind: str) -> RoomId:
    """A room in which every message waits: behind a silent agent, or for a repair that fails."""
    (mute, _) = runtime.with_chats(2)
    runtime.agents.silent.add("0")
    return {"a mute agent": mute, "a failed room": NOWHERE}[kind]


KINDS = pytest.mark.parametrize("kind", ["a mute agent", "a failed room"])


async def pour(runtime: RuntimeFixture, room: RoomId, number: int, at_once: int) -> None:
    for first in range(0, number, at_once):
        numbers = range(first, first + at_once)
        runtime.homeserver.next_sync(*(runtime.message(room, f"{n}") for n in numbers))
        await settle()


@KINDS
async def test_a_backlog_in_one_room_delays_no_other(runtime: RuntimeFixture, kind):
    flooded, other = flood_of_commands(runtime, kind), RoomId("!chat2")
    with assert_sync_never_pauses():
        async with runtime.running(killed=True):
            for _ in range(5):
                await pour(runtime, flooded, 2 * HIGH, HIGH // 2)
                message = runtime.message(other, "hello")
                runtime.homeserver.next_sync(message)
                await settle()
                assert runtime.homeserver.replies[-1] == (message.event_id, "re: hello")


@KINDS
async def test_a_recovered_backlog_in_one_room_delays_no_other(runtime: RuntimeFixture, kind):
    flooded, other = flood_of_commands(runtime, kind), RoomId("!chat2")
    async with runtime.running(killed=True):
        await pour(runtime, flooded, 10 * HIGH, HIGH // 2)
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(other, "hello"))
        await settle()
        assert runtime.homeserver.replies[-1][1] == "re: hello"
        with assert_sync_never_pauses():
            await pour(runtime, flooded, 2 * HIGH, HIGH // 2)
            runtime.homeserver.next_sync(runtime.message(other, "again"))
            await settle()
        assert runtime.homeserver.replies[-1][1] == "re: again"


@pytest.mark.slow
@KINDS
async def test_thirty_thousand_messages_in_one_room_delay_no_other(runtime, kind, monkeypatch):
    monkeypatch.setattr(dispatcher, "BACKLOG_HIGH", 20_000)
    monkeypatch.setattr(dispatcher, "BACKLOG_LOW", 10_000)
    flooded, other = flood_of_commands(runtime, kind), RoomId("!chat2")
    with assert_sync_never_pauses():
        async with runtime.running(killed=True) as bot:
            await pour(runtime, flooded, 30_000, 1_500)
            runtime.homeserver.next_sync(runtime.message(other, "hello"))
            await settle()
            assert runtime.homeserver.replies[-1][1] == "re: hello"
            assert bot._dispatcher._backlog == 0
    (waiting,) = runtime.database.rows(
        "SELECT count(*) FROM inbox WHERE actor = ? AND status = 'waiting'", flooded
    )
    assert waiting == (inbox.WAITING_HIGH,)


async def test_counting_all_waiting_rows_as_backlog_is_caught(runtime: RuntimeFixture, monkeypatch):
    """With this planted bug, one room pauses the sync of all rooms, and its actor runs without end."""
    monkeypatch.setattr(ActorCell, "has_open_rows", property(lambda self: bool(self.inbox)))
    monkeypatch.setattr(idle_loop, "MAX_ITERATIONS", 5_000)
    flooded = flood_of_commands(runtime, "a mute agent")
    with capture_logs() as logs, pytest.RaisesGroup(pytest.RaisesExc(AssertionError, match="busy")):
        async with runtime.running(killed=True):
            at_once = 2 * (HIGH + MAX_WAITING)
            await pour(runtime, flooded, at_once, at_once)
    assert [line for line in logs if line["event"] == "sync_paused"]


async def test_the_sync_loop_pauses_while_the_dispatcher_can_not_keep_up(runtime: RuntimeFixture):
    rooms = runtime.with_chats(2 * HIGH)
    usual, free = runtime.journal.save_units_of_work, anyio.Event()

    async with runtime.running():

        async def save_units_of_work(units, at):
            await free.wait()
            return await usual(units, at)

        runtime.journal.save_units_of_work = save_units_of_work  # type: ignore[method-assign]
        for first in (0, HIGH):
            messages = (runtime.message(room, "hello") for room in rooms[first : first + HIGH])
            runtime.homeserver.next_sync(*messages)
        await settle()
        assert len(runtime.homeserver.pending_batches) == 1
        free.set()
        for _ in range(5):
            await settle()
        assert not runtime.homeserver.pending_batches
    assert len(runtime.homeserver.replies) == 2 * HIGH


async def test_a_recovered_backlog_pauses_the_sync_loop(
    runtime: RuntimeFixture,
):
    rooms = runtime.with_chats(HIGH)
    await save_events(runtime.journal, [runtime.message(room, "hello") for room in rooms], 1.0)
    usual, free = runtime.journal.save_units_of_work, anyio.Event()
    bot = runtime.bot()

    async def save_units_of_work(units, at):
        if bot._dispatcher._running:
            await free.wait()
        return await usual(units, at)

    runtime.journal.save_units_of_work = save_units_of_work  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(bot.run)
        await settle()
        assert not runtime.homeserver.calls[-1].startswith("sync")
        free.set()
        for _ in range(5):
            await settle()
        assert runtime.homeserver.calls[-1].startswith("sync")
        group.cancel_scope.cancel()
    assert len(runtime.homeserver.replies) == HIGH

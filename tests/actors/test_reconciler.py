"""A start uses the current state and not the sync; repairs run concurrently (contracts L3, C11, C12)."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from actors.reconciler import Reconciler
from machines.ids import RoomId
from machines.room.binding import Binding
from machines.room.topology import Topology
from store.records import UnitOfWork
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.room.topologies import bound, chat, row, space
from tests.machines.support import ANNA, BERT, BOT

pytestmark = pytest.mark.anyio


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeFixture:
    return RuntimeFixture(tmp_path / "bot.db")


def forked(runtime: RuntimeFixture) -> list[RoomId]:
    """The sync shows a Space without its link, as after a join that was sent at the same time (fact 19)."""
    rooms = runtime.with_chats()
    runtime.homeserver.synced = [
        replace(room, children=()) if room.is_space else room for room in runtime.homeserver.rooms
    ]
    return rooms


async def test_a_bound_chat_whose_link_the_sync_omits_stays_bound(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    async with runtime.running():
        pass
    forked(runtime)
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_sync(runtime.message(room, "one"))
            await settle()
    (report,) = [line for line in logs if line["event"] == "matrix_reconcile_complete"]
    assert (report["rooms_unchanged"], report["skipped"], report["conflicts"]) == (2, [], [])
    assert [body for _, body in runtime.homeserver.replies] == ["re: one"]
    assert not any(call.startswith("observe_room") for call in runtime.homeserver.calls)


async def test_without_the_database_a_chat_is_recovered_though_the_sync_omits_its_link(
    runtime: RuntimeFixture,
):
    (room,) = forked(runtime)
    with capture_logs() as logs:
        async with runtime.running():
            pass
    (report,) = [line for line in logs if line["event"] == "matrix_reconcile_complete"]
    assert (report["rooms_recovered"], report["skipped"]) == (2, [])
    found = runtime.database.rows("SELECT chat_id, state FROM rooms WHERE room_id = ?", room)
    assert found == [("C1", "bound")]


async def test_a_consistent_topology_is_not_confirmed(runtime: RuntimeFixture):
    runtime.with_chats(3)
    for _ in range(2):
        async with runtime.running():
            pass
    assert "confirm" not in runtime.homeserver.calls


async def test_a_slow_repair_of_one_room_delays_no_other(runtime: RuntimeFixture):
    slow, quick = runtime.with_chats(2)
    unseen, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    look, look_ends = runtime.homeserver.observe_room, anyio.Event()

    async def observe(room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        if room_id == slow:
            await look_ends.wait()
        return await look(room_id, spaces)

    runtime.homeserver.observe_room = observe  # type: ignore[method-assign]
    async with runtime.running():
        runtime.homeserver.rooms = unseen
        runtime.homeserver.next_sync(runtime.message(slow, "one"), runtime.message(quick, "two"))
        await settle()
        assert [body for _, body in runtime.homeserver.replies] == ["re: two"]
        look_ends.set()
    assert [body for _, body in runtime.homeserver.replies] == ["re: two", "re: one"]


async def test_two_concurrent_repairs_get_different_numbers(
    runtime: RuntimeFixture,
):
    rooms = [RoomId("!one"), RoomId("!two")]
    known = [
        space("!space", *rooms, binding=Binding("space", ANNA).content()),
        *(chat(room_id, 20 + number) for number, room_id in enumerate(rooms)),
    ]
    async with runtime.running():
        runtime.homeserver.rooms = known
        runtime.homeserver.next_sync(*(runtime.message(room_id, "hello") for room_id in rooms))
        await settle()
    numbers = runtime.database.rows(
        "SELECT chat_id, platform_chat_id FROM rooms WHERE room_type = 'chat' ORDER BY chat_id"
    )
    assert len(set(numbers)) == 2
    assert len({chat_id for chat_id, _ in numbers}) == 2
    assert len({context for _, context in numbers}) == 2


async def test_a_repair_loads_only_the_rows_that_it_compares(runtime: RuntimeFixture):
    looked_at = chat("!chat", binding=bound("C1", "7").content())
    others = [
        row(f"!b{number}", bound("C1", str(100 + number), owner=BERT)) for number in range(50)
    ]
    mine = row("!second", bound("C2", "8"))
    taken = row("!thief", bound("C9", "7", owner=BERT))
    await runtime.journal.save_units_of_work(
        [UnitOfWork(room=each) for each in (*others, mine, taken)], 1.0
    )
    shown = Topology(BOT, {looked_at.room_id: looked_at}, whole=False)
    stored = await runtime.journal.stored_for(shown)
    assert set(stored.rooms) == {"!second", "!thief"}


async def test_a_repair_delivers_the_row_of_the_owner_before_it_stores_the_binding(
    runtime: RuntimeFixture,
):
    happened: list[str] = []
    runtime.homeserver.rooms = [
        space("!space", RoomId("!one"), binding=Binding("space", ANNA).content()),
        chat(RoomId("!one"), 20),
    ]
    runtime.homeserver.outcome = lambda order: happened.append(type(order).__name__)
    reconciler = Reconciler(
        runtime.homeserver,
        runtime.journal,
        runtime.clock,
        runtime.bot()._context_provider,
        lambda rows: happened.extend(type(row.event).__name__ for row in rows),
    )
    await reconciler.reconcile_single_room(RoomId("!one"))
    assert happened == ["ChatRecovered", "StoreBinding"]

"""Rooms, users and turns are read back equal; an unreadable row raises an error."""

import json
import re
import sqlite3

import pytest
from msgspec.structs import replace

from machines.ids import ActorKey, RoomId, UserId
from machines.room.binding import Binding
from machines.room.state import Room, RoomState
from store import DatabaseUnusable
from store.codec import dump
from store.database import prepare
from store.inbox import READ_AHEAD
from store.queries import SQL
from store.records import RoomRows, UnitOfWork, UserRows
from store.rows import BINDING_COLUMNS, ROOM_COLUMNS
from tests.store.values import ANNA, CHAT, KEY, ROOMS, TURN, TURN_ROW, USERS, message, save_events


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.room_id)
async def test_a_room_comes_back_equal(journal, room):
    for _ in range(2):
        await journal.save_units_of_work([UnitOfWork(room=room)], 1.0)
    key = ActorKey(room.room_id)
    rows = (await journal.load_actors([key]))[key]
    assert rows == RoomRows(room, None, ())
    assert (await journal.stored()).rooms == {room.room_id: room}


async def test_equal_values_of_many_rooms_share_one_object(journal):
    space = RoomId("!space")
    bindings = [Binding("chat", ANNA, f"C{n}", str(n), None, space) for n in (1, 2)]
    rooms = [Room(RoomId(f"!{n}"), reason="as found", binding=b) for n, b in enumerate(bindings)]
    await journal.save_units_of_work([UnitOfWork(room=room) for room in rooms], 1.0)
    one, other = (await journal.stored()).rooms.values()
    assert one.binding is not None
    assert other.binding is not None
    assert one.reason is other.reason
    assert one.chat_context is other.chat_context
    assert one.binding.space_id is other.binding.space_id
    assert one.binding.matrix_user_id is other.binding.matrix_user_id


def test_every_column_of_a_room_stores_one_field(path):
    raw = prepare(sqlite3.connect(path, isolation_level=None))
    columns = {row["name"] for row in raw.execute("PRAGMA table_info(rooms)")}
    raw.close()
    assert (
        {*ROOM_COLUMNS, *BINDING_COLUMNS}
        == columns - {"owner_present"}  # written for the version before
        == set(re.findall(r":(\w+)", SQL["update_room"]))
    )
    assert {each.field for each in BINDING_COLUMNS.values()} == set(Binding.__struct_fields__)
    fields = {each.field for each in ROOM_COLUMNS.values()}
    assert fields | {"binding"} == set(Room.__struct_fields__)


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.state)
async def test_a_user_comes_back_equal(journal, user):
    for _ in range(2):
        await journal.save_units_of_work([UnitOfWork(user=user)], 1.0)
    key = ActorKey(user.user_id)
    rows = (await journal.load_actors([key]))[key]
    assert rows == UserRows(user, (), ())


async def test_a_turn_comes_back_equal(journal):
    await journal.save_units_of_work([UnitOfWork(turn=TURN)], 1.0)
    rows = (await journal.load_actors([KEY]))[KEY]
    assert rows.turn == TURN
    assert await journal.actors_with_work() == {KEY: 0}
    await journal.save_units_of_work([UnitOfWork(turn_ended=CHAT)], 2.0)
    assert await journal.actors_with_work() == {}


async def test_a_turn_of_an_earlier_version_is_read_and_the_format_is_unchanged(database, journal):
    await journal.save_units_of_work([UnitOfWork(turn=replace(TURN, attempt=1))], 1.0)
    change = "UPDATE turns SET payload = :payload"
    await database.run(lambda raw: raw.execute(change, {"payload": TURN_ROW}))
    rows = (await journal.load_actors([KEY]))[KEY]
    assert rows.turn == TURN
    earlier, written = json.loads(TURN_ROW), json.loads(dump(TURN))
    assert written["reply"].pop("quiet") == ""
    for added in ("quoted_event", "quoted"):
        assert written["request"].pop(added) is None
    assert {key: earlier.get(key, "") for key in written} == written
    assert written.keys() - earlier.keys() == {"note"}
    assert earlier.keys() - written.keys() == {
        *("heard", "finished", "status", "first_text_at", "called_at"),
    }


async def test_an_unknown_actor_has_no_row(journal):
    found = await journal.load_actors([ActorKey("!none"), ActorKey("@none:x")])
    assert list(found.values()) == [RoomRows(None, None, ()), UserRows(None, (), ())]


async def test_a_users_chats_are_read_in_the_order_of_their_numbers(journal):
    def chat(number: int, state: RoomState = "bound", **changes) -> Room:
        binding = replace(Binding("chat", ANNA, f"C{number}", str(number), None), **changes)
        return Room(RoomId(f"!{number}"), state, binding=binding, name=f"Name {number}")

    rooms = [
        chat(10),
        chat(2, archived=True),
        chat(1, "failed"),
        chat(3, "unregistered"),
        chat(4, matrix_user_id=UserId("@bert:example.org")),
        chat(5, chat_id=None),
        chat(6, room_type="space"),
    ]
    await journal.save_units_of_work([UnitOfWork(room=room) for room in rooms], 1.0)
    key = ActorKey(ANNA)
    chats = (await journal.load_actors([key]))[key].chats
    assert [(c.chat_id, c.name, c.archived, c.state) for c in chats] == [
        ("C1", "Name 1", False, "failed"),
        ("C2", "Name 2", True, "bound"),
        ("C10", "Name 10", False, "bound"),
    ]


async def test_a_bounded_number_of_inbox_rows_is_read_ahead(journal):
    await save_events(journal, [message(number) for number in range(READ_AHEAD + 5)], 1.0)
    first = (await journal.load_actors([KEY]))[KEY].inbox
    rest = await journal.inbox_after(KEY, first[-1].seq)
    assert (len(first), len(rest)) == (READ_AHEAD, 5)
    assert [row.event.sent_at_ms for row in (*first, *rest)] == list(range(READ_AHEAD + 5))


async def test_a_row_of_an_unknown_kind_or_shape_is_unusable(database, journal):
    await save_events(journal, [message(1)], 1.0)
    for change in ("payload = '{'", "payload = '{}'", """payload = '{"type": "from_later"}'"""):
        await database.run(lambda raw, change=change: raw.execute(f"UPDATE inbox SET {change}"))
        with pytest.raises(DatabaseUnusable):
            await journal.inbox_after(KEY, 0)

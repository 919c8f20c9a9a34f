"""For any topology and any damage: reconciliation is idempotent and keeps valid values (C1, C5, C6)."""

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from machines.ids import RoomId
from machines.room.binding import Binding
from machines.room.plan import StoredState
from machines.room.state import Room
from machines.room.topology import ObservedChild, ObservedRoom, Topology
from machines.user.machine import User
from tests.machines.room.topologies import AGENT, ReconciledTables
from tests.machines.support import ANNA, BERT, BOT, STRANGER

SPACES = [RoomId(f"!space{number}") for number in range(3)]
CHATS = [RoomId(f"!chat{number}") for number in range(6)]
ENTRIES = [RoomId(f"!entry{number}") for number in range(2)]
EVERY_ROOM = [*SPACES, *CHATS, *ENTRIES]

rooms = st.sampled_from(EVERY_ROOM)
people = st.sampled_from([ANNA, BERT])
any_user = st.sampled_from([ANNA, BERT, STRANGER, BOT])
mostly_bot = st.sampled_from([BOT, BOT, BOT, ANNA])
chat_ids = st.sampled_from([None, "C1", "C2", "C3", "C7", "nonsense"])
contexts = st.sampled_from([None, "1", "2", "3", "9", "nonsense"])
bindings = st.builds(
    Binding,
    room_type=st.sampled_from(["chat", "chat", "space", "entry"]),
    matrix_user_id=people,
    chat_id=chat_ids,
    platform_chat_id=contexts,
    agent_id=st.sampled_from([None, AGENT]),
    space_id=st.sampled_from([None, *SPACES]),
    archived=st.booleans(),
)
colliding_bindings = st.builds(
    Binding,
    room_type=st.just("chat"),
    matrix_user_id=st.just(ANNA),
    chat_id=st.sampled_from(["C1", "C2"]),
    platform_chat_id=st.sampled_from(["1", "2"]),
    agent_id=st.just(AGENT),
    space_id=st.just(SPACES[0]),
)
contents = (
    st.none() | (bindings | colliding_bindings).map(Binding.content) | st.just({"room_type": 3})
)
children = st.lists(
    st.builds(
        ObservedChild,
        room_id=st.sampled_from([*CHATS, *SPACES[:2], RoomId("!unseen")]),
        sender=mostly_bot,
        via=st.sampled_from([("example.org",), ("example.org",), ()]),
    ),
    max_size=6,
    unique_by=lambda child: child.room_id,
).map(tuple) | st.just(tuple(ObservedChild(each, BOT, ("example.org",)) for each in CHATS))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Generate any rooms that a homeserver could show; the bot created most of them."""
    shown = draw(st.sets(rooms))
    observed = {}
    for room_id in sorted(shown):
        is_space = room_id in SPACES
        members = draw(st.sampled_from([(ANNA,), (BERT,), (ANNA, BERT), (), None]))
        observed[room_id] = ObservedRoom(
            room_id,
            created_by=draw(any_user if room_id in ENTRIES else mostly_bot),
            created_at_ms=draw(st.integers(0, 3)),
            is_space=is_space,
            invited_by=draw(st.none() | any_user),
            children=draw(children) if is_space else (),
            members=members,
            name=draw(st.sampled_from([None, "", "A name"])),
            encrypted=draw(st.booleans()),
            binding=draw(contents),
        )
    return Topology(BOT, observed)


def rows(room_ids: st.SearchStrategy[RoomId] = rooms) -> st.SearchStrategy[dict[RoomId, Room]]:
    """Generate any local rows, as damage may leave them; the schema keeps contexts unique."""
    row = st.builds(
        Room,
        room_id=room_ids,
        state=st.sampled_from(["unregistered", "reconciling", "bound", "failed"]),
        binding=st.none() | bindings,
        name=st.sampled_from(["", "A name", "Another"]),
        encrypted=st.booleans(),
    )
    return st.lists(
        row,
        unique_by=(
            lambda each: each.room_id,
            lambda each: (each.binding and each.binding.platform_chat_id) or each.room_id,
        ),
    ).map(lambda found: {each.room_id: each for each in found})


users = st.lists(
    st.builds(
        User,
        user_id=people,
        space_id=st.sampled_from([None, *SPACES]),
        next_chat_index=st.integers(1, 9),
    ),
    unique_by=lambda user: user.user_id,
).map(lambda found: {user.user_id: user for user in found})
tables = st.builds(StoredState, rooms=rows(), users=users, platform_chat_seq=st.integers(0, 12))


@pytest.mark.slow
@given(topologies(), tables)
@settings(max_examples=200, deadline=None)
def test_a_second_reconciliation_changes_nothing(shown, stored):
    tables = ReconciledTables(shown, stored)
    tables.apply(tables.plan())
    once = (tables.shown, tables.stored)
    note(str(tables.plan()))
    assert tables.settled
    tables.apply(tables.plan())
    assert (tables.shown, tables.stored) == once


@pytest.mark.slow
@given(topologies(), tables)
@settings(max_examples=150, deadline=None)
def test_no_two_rooms_get_the_same_id(shown, stored):
    tables = ReconciledTables(shown, stored)
    plan = tables.plan()
    chats = [each.binding for each in plan.found.values() if each.binding.room_type == "chat"]
    assert len({each.platform_chat_id for each in chats}) == len(chats)
    assert len({(each.matrix_user_id, each.chat_id) for each in chats}) == len(chats)
    tables.apply(plan)
    held = [row.binding.platform_chat_id for row in tables.stored.rooms.values() if row.binding]
    held = [context for context in held if context]
    assert len(set(held)) == len(held), "the schema would refuse this"
    for each in chats:
        assert int(each.platform_chat_id or 0) <= plan.platform_chat_seq
        user = tables.stored.users[each.matrix_user_id]
        assert user.next_chat_index > int((each.chat_id or "C0")[1:])


@pytest.mark.slow
@given(
    topologies(),
    rows(st.sampled_from([*CHATS, *ENTRIES])),
    st.sets(rooms),
    users,
    st.dictionaries(rooms, st.sampled_from(["unregistered", "reconciling", "failed"])),
)
@settings(max_examples=150, deadline=None)
def test_the_same_chats_are_restored_after_any_damage_to_the_tables(
    shown, damaged, lost, other_users, states
):
    # The damage excludes rows of Spaces: they may determine the owner of a Space with several members (C3).
    tables = ReconciledTables(shown)
    tables.apply(tables.plan())
    settled, chats = tables.stored, tables.chats()

    remaining = {
        room_id: replace(row, state=states.get(room_id, row.state))
        for room_id, row in settled.rooms.items()
        if room_id not in lost
    }
    free = {row.binding.platform_chat_id for row in damaged.values() if row.binding}
    remaining = {
        room_id: row
        for room_id, row in remaining.items()
        if not (row.binding and row.binding.platform_chat_id in free - {None})
    }
    tables.stored = StoredState({**remaining, **damaged}, other_users, 0)
    tables.apply(tables.plan())
    assert tables.chats() == chats
    assert tables.settled


@pytest.mark.slow
@given(topologies(), tables, st.sets(rooms))
@settings(max_examples=150, deadline=None)
def test_rooms_in_flight_keep_their_rows(shown, stored, busy):
    tables = ReconciledTables(shown, replace(stored, in_flight=frozenset(busy)))
    tables.apply(tables.plan())
    for room_id in busy:
        before, after = stored.rooms.get(room_id), tables.stored.rooms.get(room_id)
        if before is None or after is None:
            assert before is after
        else:
            assert (after.state, after.name) == (before.state, before.name)
    assert tables.settled

"""What a sync would make skipped, refused or unbound is read first; a consistent topology is not (contract L3)."""

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from machines.ids import RoomId
from machines.room.binding import Binding
from machines.room.plan import StoredState
from machines.room.topology import Topology
from machines.room.unconfirmed import Unconfirmed, find_unconfirmed
from machines.user.machine import User
from tests.machines.room.test_reconcile_properties import tables, topologies
from tests.machines.room.topologies import (
    ReconciledTables,
    bound,
    chat,
    entry,
    link,
    plan_for,
    row,
    space,
    topology,
)
from tests.machines.support import ANNA, BERT

SPACE, CHAT = RoomId("!space"), RoomId("!chat")
OWNED = Binding("space", ANNA).content()
NAMED = {"name": "Plans", "binding": bound().content()}


def unconfirmed_in(*rooms, stored: StoredState | None = None) -> Unconfirmed:
    context, known = topology(*rooms), stored or StoredState()
    return find_unconfirmed(plan_for(context, known), context, known)


def stored(*rows, users=()) -> StoredState:
    return StoredState(
        {each.room_id: each for each in rows}, {user.user_id: user for user in users}
    )


@pytest.mark.parametrize("stored_before", [False, True])
def test_a_consistent_topology_leaves_nothing_unconfirmed(stored_before):
    tables = ReconciledTables(
        topology(
            space("!space", "!chat", binding=OWNED),
            chat(**NAMED),
            entry("!entry", binding=Binding("entry", ANNA).content()),
        )
    )
    if stored_before:
        tables.apply(tables.plan())
    assert find_unconfirmed(tables.plan(), tables.shown, tables.stored).is_empty


def test_a_missing_link_is_read_in_the_space_of_the_binding():
    assert unconfirmed_in(space(binding=OWNED), chat(**NAMED)).links == {(SPACE, CHAT)}


@pytest.mark.parametrize("state", ["bound", "failed", "unregistered", "reconciling"])
def test_a_missing_link_is_read_in_the_space_of_the_row(state):
    known = stored(row("!chat", bound(), state, name="Plans"))
    unconfirmed = unconfirmed_in(space(binding=OWNED), chat(name="Plans"), stored=known)
    assert unconfirmed.links == {(SPACE, CHAT)}
    assert unconfirmed.parents == set()


def test_a_missing_link_is_read_in_the_space_of_the_owner_too():
    elsewhere = row("!chat", bound(space_id="!other"), name="Plans")
    known = stored(elsewhere, users=[User(ANNA, space_id=SPACE)])
    unconfirmed = unconfirmed_in(space(binding=OWNED), chat(name="Plans"), stored=known)
    assert unconfirmed.links == {(SPACE, CHAT), (RoomId("!other"), CHAT)}


def test_the_parents_of_a_room_without_a_known_space_are_read():
    unconfirmed = unconfirmed_in(space(binding=OWNED), chat(name="Plans"))
    assert (unconfirmed.parents, unconfirmed.links) == ({CHAT}, set())


@pytest.mark.parametrize(
    "child", [link("!chat", sender=ANNA), link("!chat", via=()), link("!chat", sender=BERT)]
)
def test_an_invalid_link_is_read(child):
    assert (SPACE, CHAT) in unconfirmed_in(
        space("!space", child, binding=OWNED), chat(**NAMED)
    ).links


def test_the_link_of_a_space_inside_a_space_is_read():
    outer = space("!outer", "!space", binding=OWNED)
    unconfirmed = unconfirmed_in(outer, space("!space", "!chat", binding=OWNED), chat(**NAMED))
    assert (RoomId("!outer"), SPACE) in unconfirmed.links


def test_a_name_that_is_missing_or_differs_from_the_row_is_read():
    shown = [space("!space", "!chat", binding=OWNED), chat(**NAMED | {"name": None})]
    assert unconfirmed_in(*shown).names == {CHAT}
    shown[1] = chat(**NAMED)
    assert unconfirmed_in(*shown, stored=stored(row("!chat", bound(), name="New"))).names == {CHAT}
    assert unconfirmed_in(*shown, stored=stored(row("!chat", bound(), name="Plans"))).is_empty


def test_an_unknown_creator_is_read():
    assert unconfirmed_in(chat(created_by=None)).creators == {CHAT}


def test_the_membership_of_a_stored_room_outside_the_sync_is_read():
    assert unconfirmed_in(stored=stored(row("!chat", bound()))).memberships == {CHAT}
    assert unconfirmed_in(stored=stored(row("!chat", bound(), "unregistered"))).is_empty


def test_the_membership_of_a_linked_room_outside_the_sync_is_read():
    assert unconfirmed_in(space("!space", "!chat", binding=OWNED)).memberships == {CHAT}


def test_the_membership_of_a_room_with_an_unread_part_is_read():
    context = replace(topology(), unread=frozenset({CHAT}))
    assert find_unconfirmed(plan_for(context), context, StoredState()).memberships == {CHAT}


def test_rooms_in_flight_are_not_read():
    known = StoredState(in_flight=frozenset({CHAT}))
    assert unconfirmed_in(space(binding=OWNED), chat(), stored=known).is_empty


def test_rooms_of_others_are_not_read():
    assert unconfirmed_in(entry(invited_by=None), entry("!two", invited_by=BERT)).is_empty


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(topologies(), tables)
def test_no_bound_room_is_refused_by_the_sync_alone(shown: Topology, known: StoredState):
    plan = plan_for(shown, known)
    unconfirmed = find_unconfirmed(plan, shown, known)
    read = (
        {room_id for _, room_id in unconfirmed.links} | unconfirmed.parents | unconfirmed.creators
    )
    for room_id in plan.refused:
        room = shown.rooms[room_id]
        # Rooms of others and Spaces are completed from the current state before the plan is made.
        assert room_id in read or room.created_by != shown.bot or room.is_space
    assert set(plan.gone) <= unconfirmed.memberships


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(topologies(), tables)
def test_only_rooms_that_are_shown_stored_or_linked_are_read(shown: Topology, known: StoredState):
    unconfirmed = find_unconfirmed(plan_for(shown, known), shown, known)
    linked = {child.room_id for room in shown.rooms.values() for child in room.children}
    assert unconfirmed.memberships <= {*known.rooms, *linked}
    assert unconfirmed.names | unconfirmed.creators | unconfirmed.parents <= set(shown.rooms)
    assert {room_id for _, room_id in unconfirmed.links} <= {*shown.rooms, *linked}


def test_a_confirmed_link_leaves_the_room_as_it_is_stored():
    stored_before = row("!chat", bound(), name="Plans")
    known = stored(stored_before, row("!space", Binding("space", ANNA), name="Lambda"))
    stale = [space(binding=OWNED), chat(**NAMED)]
    assert plan_for(stale, known).refused == {
        CHAT: "created by the bot, and linked in no Space of the bot"
    }
    current = [replace(stale[0], children=(link("!chat"),)), stale[1]]
    assert set(plan_for(current, known).unchanged) == {SPACE, CHAT}

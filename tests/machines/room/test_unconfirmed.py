"""Whatever a sync would make skipped, refused or unbound is doubted first; an undamaged world is not (contract L3)."""

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
    StepContext,
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


def doubted(*rooms, stored: StoredState | None = None) -> Unconfirmed:
    context, known = topology(*rooms), stored or StoredState()
    return find_unconfirmed(plan_for(context, known), context, known)


def stored(*rows, users=()) -> StoredState:
    return StoredState(
        {each.room_id: each for each in rows}, {user.user_id: user for user in users}
    )


@pytest.mark.parametrize("kept", [False, True])
def test_an_undamaged_world_leaves_nothing_in_doubt(kept):
    context = StepContext(
        topology(
            space("!space", "!chat", binding=OWNED),
            chat(**NAMED),
            entry("!entry", binding=Binding("entry", ANNA).content()),
        )
    )
    if kept:
        context.apply(context.plan())
    assert find_unconfirmed(context.plan(), context.shown, context.stored).is_empty


def test_a_link_that_the_sync_leaves_out_is_asked_for_where_the_binding_says():
    assert doubted(space(binding=OWNED), chat(**NAMED)).links == {(SPACE, CHAT)}


@pytest.mark.parametrize("state", ["bound", "failed", "unregistered", "reconciling"])
def test_a_link_that_the_sync_leaves_out_is_asked_for_where_the_row_says(state):
    known = stored(row("!chat", bound(), state, name="Plans"))
    left = doubted(space(binding=OWNED), chat(name="Plans"), stored=known)
    assert left.links == {(SPACE, CHAT)}
    assert left.parents == set()


def test_a_link_is_asked_for_in_the_space_of_the_owner_too():
    elsewhere = row("!chat", bound(space_id="!other"), name="Plans")
    known = stored(elsewhere, users=[User(ANNA, space_id=SPACE)])
    left = doubted(space(binding=OWNED), chat(name="Plans"), stored=known)
    assert left.links == {(SPACE, CHAT), (RoomId("!other"), CHAT)}


def test_of_a_room_that_nothing_places_the_claims_are_asked_for():
    left = doubted(space(binding=OWNED), chat(name="Plans"))
    assert (left.parents, left.links) == ({CHAT}, set())


@pytest.mark.parametrize(
    "child", [link("!chat", sender=ANNA), link("!chat", via=()), link("!chat", sender=BERT)]
)
def test_a_link_that_does_not_count_is_asked_for(child):
    assert (SPACE, CHAT) in doubted(space("!space", child, binding=OWNED), chat(**NAMED)).links


def test_a_space_inside_a_space_is_asked_for():
    outer = space("!outer", "!space", binding=OWNED)
    left = doubted(outer, space("!space", "!chat", binding=OWNED), chat(**NAMED))
    assert (RoomId("!outer"), SPACE) in left.links


def test_a_name_is_asked_for_where_it_is_missing_or_another_than_stored():
    shown = [space("!space", "!chat", binding=OWNED), chat(**NAMED | {"name": None})]
    assert doubted(*shown).names == {CHAT}
    shown[1] = chat(**NAMED)
    assert doubted(*shown, stored=stored(row("!chat", bound(), name="New"))).names == {CHAT}
    assert doubted(*shown, stored=stored(row("!chat", bound(), name="Plans"))).is_empty


def test_a_creator_that_is_not_shown_is_asked_for():
    assert doubted(chat(created_by=None)).creators == {CHAT}


def test_a_stored_room_that_is_not_shown_is_asked_for():
    assert doubted(stored=stored(row("!chat", bound()))).memberships == {CHAT}
    assert doubted(stored=stored(row("!chat", bound(), "unregistered"))).is_empty


def test_a_linked_room_that_is_not_shown_is_asked_for():
    assert doubted(space("!space", "!chat", binding=OWNED)).memberships == {CHAT}


def test_a_room_that_the_sync_told_too_much_of_is_asked_for():
    context = replace(topology(), unread=frozenset({CHAT}))
    assert find_unconfirmed(plan_for(context), context, StoredState()).memberships == {CHAT}


def test_what_is_under_way_is_not_doubted():
    known = StoredState(in_flight=frozenset({CHAT}))
    assert doubted(space(binding=OWNED), chat(), stored=known).is_empty


def test_rooms_of_others_are_not_doubted():
    assert doubted(entry(invited_by=None), entry("!two", invited_by=BERT)).is_empty


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(topologies(), tables)
def test_no_bound_room_is_refused_by_the_sync_alone(shown: Topology, known: StoredState):
    plan = plan_for(shown, known)
    left = find_unconfirmed(plan, shown, known)
    reply_to = {room_id for _, room_id in left.links} | left.parents | left.creators
    for room_id in plan.refused:
        room = shown.rooms[room_id]
        # Rooms of others and Spaces are completed from the current state before there is a plan.
        assert room_id in reply_to or room.created_by != shown.bot or room.is_space
    assert set(plan.gone) <= left.memberships


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(topologies(), tables)
def test_doubts_ask_only_for_rooms_that_are_shown_stored_or_linked(
    shown: Topology, known: StoredState
):
    left = find_unconfirmed(plan_for(shown, known), shown, known)
    linked = {child.room_id for room in shown.rooms.values() for child in room.children}
    assert left.memberships <= {*known.rooms, *linked}
    assert left.names | left.creators | left.parents <= set(shown.rooms)
    assert {room_id for _, room_id in left.links} <= {*shown.rooms, *linked}


def test_a_confirmed_link_leaves_the_room_as_it_is_stored():
    kept = row("!chat", bound(), name="Plans")
    known = stored(kept, row("!space", Binding("space", ANNA), name="Lambda"))
    stale = [space(binding=OWNED), chat(**NAMED)]
    assert plan_for(stale, known).refused == {
        CHAT: "created by the bot, and linked in no Space of the bot"
    }
    current = [replace(stale[0], children=(link("!chat"),)), stale[1]]
    assert set(plan_for(current, known).unchanged) == {SPACE, CHAT}

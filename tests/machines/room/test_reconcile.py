"""Reconciliation makes the tables agree with the homeserver, except for state that a user can forge (C1–C6, O6)."""

import pytest
from msgspec.structs import replace

from machines.ids import RoomId
from machines.room.binding import Binding
from machines.room.plan import Plan, StoredState
from machines.room.topology import ObservedRoom
from machines.user.machine import User
from tests.machines.room.topologies import (
    bound,
    chat,
    entry,
    plan_for,
    row,
    space,
    topology,
)
from tests.machines.support import ANNA, BERT, BOT, STRANGER

# -- C1: the homeserver is the authority ---------------------------------------------------------------


def test_an_empty_database_is_restored_from_the_bindings():
    first = bound("C1", "7", agent_id="writer")
    second = bound("C3", "12", archived=True)
    plan = plan_for(
        [
            space("!space", "!one", "!two"),
            chat("!one", 20, binding=first.content(), name="Plans", encrypted=True),
            chat("!two", 30, binding=second.content()),
        ]
    )
    one = plan.found[RoomId("!one")]
    assert (one.binding, one.name, one.encrypted) == (first, "Plans", True)
    assert plan.found[RoomId("!two")].binding == second
    assert plan.found[RoomId("!space")].binding == Binding("space", ANNA)
    assert plan.spaces == 1
    (user,) = plan.users
    assert (user.user_id, user.space_id, user.next_chat_index) == (ANNA, "!space", 4)
    assert plan.platform_chat_seq == 12
    assert plan.backfilled == (RoomId("!space"),)


def test_a_row_that_differs_from_the_homeserver_is_changed_to_it():
    right = bound("C1", "7")
    shown = [space("!space", "!chat"), chat(binding=right.content(), name="Plans")]
    for wrong in (
        row("!chat", replace(right, archived=True), name="Plans"),
        row("!chat", replace(right, platform_chat_id="8"), name="Plans"),
        row("!chat", replace(right, matrix_user_id=BERT), name="Plans"),
        row("!chat", right, name="Old name"),
        row("!chat", right, "failed", name="Plans"),
        row("!chat", right, "reconciling", name="Plans"),
        row("!chat", right, "unregistered", name="Plans"),
        row("!chat", None, "failed"),
    ):
        plan = plan_for(shown, StoredState({wrong.room_id: wrong}))
        assert RoomId("!chat") in plan.changed
        assert plan.found[RoomId("!chat")].binding == right


def test_a_row_that_agrees_is_unchanged():
    right = row("!chat", bound("C1", "7"), name="Plans", encrypted=True)
    assert right.binding is not None
    plan = plan_for(
        [space("!space", "!chat"), chat(binding=right.binding.content(), name="Plans")],
        StoredState({right.room_id: right}),
    )
    assert plan.unchanged == (right.room_id,)
    assert right.room_id not in plan.changed
    assert right.room_id not in plan.backfilled


def test_a_room_that_the_bot_has_left_is_gone():
    plan = plan_for([], StoredState({RoomId("!chat"): row("!chat", bound())}))
    assert plan.gone == (RoomId("!chat"),)
    already = row("!chat", bound(), "unregistered")
    assert plan_for([], StoredState({already.room_id: already})).gone == ()


def test_a_stored_room_without_a_valid_binding_is_refused_with_the_reason():
    stored = StoredState({RoomId("!chat"): row("!chat", bound())})
    plan = plan_for([space("!space"), chat()], stored)
    assert "linked in no Space" in plan.refused[RoomId("!chat")]
    failed = StoredState({RoomId("!chat"): row("!chat", bound(), "failed")})
    assert plan_for([space("!space"), chat()], failed).refused == {}


# -- C3: owners ---------------------------------------------------------------------------------------


def test_the_owner_in_the_binding_takes_precedence_over_the_members():
    content = Binding("space", BERT).content()
    plan = plan_for([space("!space", "!chat", binding=content, members=(ANNA,)), chat()])
    assert plan.found[RoomId("!chat")].binding.matrix_user_id == BERT


def test_several_candidates_are_a_conflict_unless_the_row_has_the_owner():
    rooms = [space("!space", "!chat", members=(ANNA, BERT)), chat()]
    ambiguous = plan_for(rooms)
    assert [remark.room_id for remark in ambiguous.conflicts] == ["!space"]

    known = StoredState({RoomId("!space"): row("!space", Binding("space", BERT))})
    assert plan_for(rooms, known).found[RoomId("!chat")].binding.matrix_user_id == BERT
    stranger = StoredState({RoomId("!space"): row("!space", Binding("space", STRANGER))})
    assert RoomId("!chat") not in plan_for(rooms, stranger).found


@pytest.mark.parametrize(
    "binding",
    [
        {"room_type": "space"},
        {"room_type": "space", "matrix_user_id": 7},
        {"room_type": "space", "matrix_user_id": "anna"},
        {"room_type": ["space"], "matrix_user_id": BERT},
        {"room_type": "chat", "matrix_user_id": BERT},
        {"nonsense": {"deep": [1]}},
    ],
    ids=repr,
)
def test_a_damaged_binding_of_a_space_is_ignored(binding):
    plan = plan_for([space("!space", "!chat", binding=binding), chat()])
    assert plan.found[RoomId("!space")].binding == Binding("space", ANNA)
    assert RoomId("!space") in plan.backfilled


# -- C4: numbers --------------------------------------------------------------------------------------


def test_older_rooms_are_numbered_by_creation_time_then_room_id():
    plan = plan_for(
        [
            space("!space", "!z", "!b", "!a", "!y"),
            chat("!z", 20),
            chat("!b", 30),
            chat("!a", 30),
            chat("!y", 25),
        ]
    )
    numbers = {room_id: each.binding for room_id, each in plan.found.items()}
    assert [
        (numbers[RoomId(room)].chat_id, numbers[RoomId(room)].platform_chat_id)
        for room in ("!z", "!y", "!a", "!b")
    ] == [("C1", "1"), ("C2", "2"), ("C3", "3"), ("C4", "4")]
    assert plan.platform_chat_seq == 4


SPRING_2026_MS = 1_775_000_000_000


def test_without_a_known_number_the_first_is_the_creation_time_of_the_room():
    def decide(*rooms: ObservedRoom) -> Plan:
        return plan_for([space("!space", "!a", "!b", "!c"), *rooms])

    shown = (
        chat("!b", SPRING_2026_MS + 5),
        chat("!a", SPRING_2026_MS),
        chat("!c", SPRING_2026_MS + 1),
    )
    plan = decide(*shown)
    numbers = {room_id: each.binding.platform_chat_id for room_id, each in plan.found.items()}
    first = SPRING_2026_MS
    assert [numbers[RoomId(room)] for room in ("!a", "!c", "!b")] == [
        str(first),
        str(first + 1),
        str(first + 2),
    ]
    assert plan.platform_chat_seq == first + 2
    assert decide(*shown[::-1]).found == plan.found


@pytest.mark.parametrize("absurd", [-1, 0, 1, 10**12 - 1, 10**13, 10**18, 2**63])
def test_an_implausible_creation_time_is_not_used_as_a_number(absurd):
    rooms = [space("!space", "!a", "!b"), chat("!a", absurd), chat("!b", SPRING_2026_MS)]
    numbers = sorted(
        int(each.binding.platform_chat_id or 0)
        for each in plan_for(rooms).found.values()
        if each.binding.room_type == "chat"
    )
    assert numbers == [SPRING_2026_MS, SPRING_2026_MS + 1]
    alone = plan_for([space("!space", "!a"), chat("!a", absurd)])
    assert alone.found[RoomId("!a")].binding.platform_chat_id == "1"


def test_small_numbers_of_an_older_database_continue_from_the_highest():
    rooms = [space("!space", "!new"), chat("!new", SPRING_2026_MS)]
    binding = plan_for(rooms, StoredState(platform_chat_seq=3)).found[RoomId("!new")].binding
    assert binding.platform_chat_id == "4"


def test_the_numbers_do_not_depend_on_the_order_of_the_rooms():
    rooms = [space("!space", "!a", "!b", "!c"), *(chat(f"!{name}", 30) for name in "abc")]
    assert plan_for(rooms).found == plan_for(rooms[::-1]).found


@pytest.mark.parametrize(
    "known",
    [
        "a binding",
        "a row",
        "a row of a room that is gone",
        "the binding of a room the bot was removed from",
        "the user's counter",
    ],
)
def test_the_next_number_is_above_the_highest_known_number(known):
    rooms = [space("!space", "!new", "!old"), chat("!new", 90)]
    stored = StoredState(platform_chat_seq=17 if known == "the user's counter" else 0)
    old = bound("C8", "17")
    if known == "a binding":
        rooms.append(chat("!old", 99, binding=old.content()))
    elif known == "a row":
        rooms.append(chat("!old", 99))
        stored = StoredState({RoomId("!old"): row("!old", old)})
    elif known == "a row of a room that is gone":
        stored = StoredState({RoomId("!old"): row("!old", old)})
    elif known == "the binding of a room the bot was removed from":
        pass
    else:
        stored = replace(stored, users={ANNA: User(ANNA, next_chat_index=9)})
    shown = topology(*rooms)
    if known == "the binding of a room the bot was removed from":
        shown = replace(shown, former={RoomId("!old"): old.content()})
    binding = plan_for(shown, stored).found[RoomId("!new")].binding
    assert (binding.chat_id, binding.platform_chat_id) == ("C9", "18")


def test_the_context_of_a_bound_room_outside_a_partial_topology_is_not_reused():
    other = row("!other", bound("C1", "7"))
    shown = topology(space("!space", "!chat"), chat(binding=bound("C2", "7").content()))
    stored = StoredState({other.room_id: other}, platform_chat_seq=7)
    partial_topology = plan_for(replace(shown, whole=False), stored).found[RoomId("!chat")].binding
    assert partial_topology.platform_chat_id == "8"
    assert plan_for(shown, stored).found[RoomId("!chat")].binding.platform_chat_id == "7"


def test_chat_ids_are_counted_for_each_user_and_contexts_for_all():
    plan = plan_for(
        [
            space("!annas", "!a", "!b"),
            space("!berts", "!c", members=(BERT,)),
            chat("!a", 20),
            chat("!c", 21),
            chat("!b", 22),
        ]
    )
    ids = {
        room_id: (each.binding.chat_id, each.binding.platform_chat_id)
        for room_id, each in plan.found.items()
        if each.binding.room_type == "chat"
    }
    assert ids == {"!a": ("C1", "1"), "!c": ("C1", "2"), "!b": ("C2", "3")}


@pytest.mark.parametrize(
    "damage",
    [
        {"chat_id": None},
        {"chat_id": "7"},
        {"chat_id": "C0"},
        {"chat_id": "C07"},
        {"chat_id": "C٣"},
        {"chat_id": 3},
        {"platform_chat_id": None},
        {"platform_chat_id": "0"},
        {"platform_chat_id": "-1"},
        {"platform_chat_id": "1e3"},
        {"platform_chat_id": 3},
        {"platform_chat_id": "9" * 40},
        {"agent_id": ["default"]},
        {"agent_id": ""},
        {"room_type": "chatty"},
        {"archived": "yes"},
    ],
    ids=repr,
)
def test_each_damaged_field_of_a_binding_is_replaced_and_the_others_stay(damage):
    content = bound("C5", "50").content() | damage
    plan = plan_for([space("!space", "!chat"), chat(binding=content)])
    got = plan.found[RoomId("!chat")].binding
    assert got.matrix_user_id == ANNA
    assert got.archived is False
    assert got.agent_id == "default"
    if "chat_id" not in damage and "room_type" not in damage:
        assert got.chat_id == "C5"
    if "platform_chat_id" not in damage and "room_type" not in damage:
        assert got.platform_chat_id == "50"
    assert RoomId("!chat") in plan.backfilled
    assert got.chat_id is not None
    assert got.chat_id[0] == "C"
    assert int(got.chat_id[1:]) >= 1
    assert got.platform_chat_id is not None
    assert int(got.platform_chat_id) >= 1


@pytest.mark.parametrize("field", ["chat_id", "platform_chat_id"])
def test_of_two_rooms_with_the_same_id_the_older_keeps_it(field):
    older, newer = bound("C1", "1"), replace(bound("C2", "2"), **{field: getattr(bound(), field)})
    plan = plan_for(
        [
            space("!space", "!newer", "!older"),
            chat("!older", 20, binding=older.content()),
            chat("!newer", 30, binding=newer.content()),
        ]
    )
    assert plan.found[RoomId("!older")].binding == older
    got = plan.found[RoomId("!newer")].binding
    assert getattr(got, field) not in (getattr(older, field), None)
    assert [remark.room_id for remark in plan.conflicts] == ["!newer"]


def test_a_room_in_two_spaces_is_the_child_of_the_one_its_binding_names():
    rooms = [
        space("!first", "!chat", created_at_ms=1),
        space("!second", "!chat", created_at_ms=2),
    ]
    named = plan_for([*rooms, chat(binding=bound(space_id="!second").content())])
    assert named.found[RoomId("!chat")].binding.space_id == "!second"
    assert not [remark for remark in named.conflicts if remark.room_id == "!chat"]
    unnamed = plan_for([*rooms, chat()])
    assert unnamed.found[RoomId("!chat")].binding.space_id == "!first"
    assert [remark for remark in unnamed.conflicts if remark.room_id == "!chat"]


# -- C6: rooms in flight are unchanged -------------------------------------------------------------------------


def test_a_room_in_flight_keeps_its_row():
    newer = row("!chat", bound("C1", "9"), name="New name")
    rooms = [space("!space", "!chat"), chat(binding=bound("C1", "7").content(), name="Old name")]
    stored = StoredState({newer.room_id: newer}, in_flight=frozenset({newer.room_id}))
    plan = plan_for(rooms, stored)
    assert newer.room_id not in plan.found
    assert newer.room_id not in {*plan.changed, *plan.refused, *plan.gone}
    assert plan.platform_chat_seq == 9
    assert plan_for([], stored).gone == ()


def test_a_chat_that_is_being_created_is_not_skipped():
    plan = plan_for([space("!space"), chat()], StoredState(in_flight=frozenset({RoomId("!chat")})))
    assert plan.skipped == ()


def test_a_room_in_flight_gets_no_ids():
    stored = StoredState(in_flight=frozenset({RoomId("!chat")}))
    plan = plan_for([space("!space", "!chat", "!other"), chat(), chat("!other", 30)], stored)
    assert plan.found[RoomId("!other")].binding.chat_id == "C1"
    assert plan.platform_chat_seq == 1


def test_a_user_with_a_chat_in_creation_is_unchanged():
    creating = User(ANNA, "making_chat", space_id=RoomId("!space"), next_chat_index=3)
    plan = plan_for([], StoredState(users={ANNA: creating}))
    assert plan.users == ()


def test_a_chat_counter_never_decreases():
    plan = plan_for(
        [space("!space", "!chat"), chat(binding=bound("C2", "2").content())],
        StoredState(users={ANNA: User(ANNA, space_id=RoomId("!space"), next_chat_index=30)}),
    )
    assert plan.users == ()


def test_a_further_space_of_a_user_is_a_conflict_and_the_known_one_stays():
    rooms = [space("!first", created_at_ms=1), space("!second", created_at_ms=2)]
    (user,) = plan_for(rooms).users
    assert user.space_id == "!first"
    assert [remark.room_id for remark in plan_for(rooms).conflicts] == ["!second"]
    known = StoredState(users={ANNA: User(ANNA, space_id=RoomId("!second"))})
    assert plan_for(rooms, known).users == ()


# -- O6: entry rooms ------------------------------------------------------------------------------------


def test_a_room_of_others_with_an_invitation_of_an_allowed_user_is_an_entry_room():
    plan = plan_for([entry()])
    assert plan.found[RoomId("!entry")].binding == Binding("entry", ANNA)


@pytest.mark.parametrize(
    "room",
    [
        entry(invited_by=None),
        entry(invited_by=STRANGER),
        entry(invited_by=BOT),
        entry(created_by=BOT),
        entry(invited_by=None, binding=Binding("entry", STRANGER).content()),
        entry(invited_by=None, binding={"room_type": "chat", "matrix_user_id": ANNA}),
    ],
    ids=["nobody", "a stranger", "itself", "its own room", "a stranger's binding", "a chat's"],
)
def test_any_other_room_is_skipped_with_a_reason(room):
    plan = plan_for([room])
    assert plan.found == {}
    assert [remark.room_id for remark in plan.skipped] == ["!entry"]


def test_the_binding_of_an_entry_room_names_the_inviter():
    plan = plan_for([entry(invited_by=ANNA, binding=Binding("entry", BERT).content())])
    assert plan.found[RoomId("!entry")].binding.matrix_user_id == BERT

"""State that a user can write binds no chat, does not change other Spaces, and is reported with a reason (C2)."""

import pytest

from machines.ids import RoomId
from tests.machines.room.topologies import (
    ReconciledTables,
    bound,
    chat,
    link,
    plan_for,
    space,
    topology,
)
from tests.machines.support import ANNA, BERT, STRANGER

CLAIM = bound("C1", "1").content()
FORGERIES = {
    "a user's own Space that links the bot's room": [
        space("!theirs", link("!chat", ANNA), created_by=ANNA),
        chat(),
    ],
    "a user's own Space that links as if it were the bot": [
        space("!theirs", "!chat", created_by=ANNA),
        chat(),
    ],
    "a child link by a user in the bot's Space": [space("!space", link("!chat", ANNA)), chat()],
    "a child link without via": [space("!space", link("!chat", via=())), chat()],
    "a child that a user created": [space("!space", "!chat"), chat(created_by=ANNA)],
    "a child whose creator is not known": [space("!space", "!chat"), chat(created_by=None)],
    "a child that the bot is not joined to": [space("!space", "!chat")],
    "a room that only claims a Space in its binding": [space("!space"), chat(binding=CLAIM)],
    "a Space that links itself": [space("!space", "!space")],
    "a Space inside a Space": [
        space("!space", "!inner"),
        space("!inner", "!chat", created_at_ms=15),
        chat(),
    ],
    "two Spaces inside each other": [
        space("!space", "!other", "!chat"),
        space("!other", "!space", "!chat", created_at_ms=11),
        chat(),
    ],
    "three Spaces in a circle": [
        space("!a", "!b", "!chat"),
        space("!b", "!c", "!chat", created_at_ms=11),
        space("!c", "!a", "!chat", created_at_ms=12),
        chat(),
    ],
    "a chat that has children": [chat(children=(link("!other"),)), chat("!other")],
    "a room with another's nonce": [space("!space"), chat(nonce="chat C1 of @anna:example.org")],
    "a Space with several members and no binding": [
        space("!space", "!chat", members=(ANNA, BERT)),
        chat(binding=CLAIM),
    ],
    "a Space of nobody": [space("!space", "!chat", members=()), chat()],
    "a binding of another user's chat": [
        space("!space", "!chat"),
        chat(binding=bound(owner=BERT).content()),
    ],
}


@pytest.mark.parametrize("rooms", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_topology_binds_no_chat(rooms):
    plan = plan_for(rooms)
    chats = [each for each in plan.found.values() if each.binding.room_type == "chat"]
    assert chats == []


@pytest.mark.parametrize("rooms", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_does_not_change_a_valid_space(rooms):
    valid = [
        space("!valid", "!mine", members=(BERT,), created_at_ms=1),
        chat("!mine", 2, binding=bound("C4", "40", BERT, "!valid").content()),
    ]
    alone, beside = plan_for(valid), plan_for([*valid, *rooms])
    assert beside.found[RoomId("!mine")] == alone.found[RoomId("!mine")]
    assert beside.found[RoomId("!valid")] == alone.found[RoomId("!valid")]


def test_a_valid_topology_binds_its_chat():
    plan = plan_for([space("!space", "!chat"), chat(binding=CLAIM)])
    assert plan.found[RoomId("!chat")].binding == bound("C1", "1")
    assert plan.skipped == plan.conflicts == ()


def test_every_forged_child_is_reported_with_its_room_and_reason():
    plan = plan_for(
        [space("!space", link("!a", STRANGER), "!b", "!c"), chat("!a"), chat("!c", created_by=ANNA)]
    )
    reasons = {remark.room_id: remark.reason for remark in plan.skipped[:3]}
    assert STRANGER in reasons[RoomId("!a")]
    assert "not joined" in reasons[RoomId("!b")]
    assert "did not create" in reasons[RoomId("!c")]


@pytest.mark.parametrize("rooms", FORGERIES.values(), ids=FORGERIES)
def test_a_second_reconciliation_changes_nothing(rooms):
    tables = ReconciledTables(topology(*rooms))
    tables.apply(tables.plan())
    assert tables.settled

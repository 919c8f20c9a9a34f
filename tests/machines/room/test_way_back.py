"""The way back into a chat: `!open`, who is in the room, and what a renamed chat gets (contracts O1, K3, K12)."""

from typing import Any

import pytest
from msgspec.structs import replace

from machines.events.internal import (
    AnswerReady,
    OpenChatRequested,
    ReplyTarget,
    RoomMade,
    TopologyConfirmed,
    WayBackRequested,
)
from machines.events.matrix import MemberChanged
from machines.events.orders import CompleteRoom, EnsureInvited, SendMessage, StoreBinding
from machines.ids import ActorKey, EventId, RoomId, UserId
from machines.room.state import Room
from tests.machines.support import (
    ANNA,
    CATALOG,
    CHAT_BINDING,
    ENTRY,
    ROOM,
    SPACE,
    RoomScenario,
    StepResult,
    chat_room,
    entry_room,
)

ASKED = ReplyTarget(ENTRY, EventId("$asked"))
ARCHIVED = replace(CHAT_BINDING, archived=True)
LINK = "https://matrix.to/#/%21chat?via=example.org"
TOPIC = "A chat with the default agent."


def comes_back(scenario: RoomScenario, **changes: Any) -> StepResult:
    request = WayBackRequested(ASKED, reopened=False, invited_to_space=False)
    return scenario.handle(replace(request, **changes), stored=True)


def answer_of(result: StepResult) -> str:
    (tell,) = result.tells
    assert tell.actor == ActorKey(ENTRY)
    assert isinstance(tell.event, AnswerReady)
    assert tell.event.reply_to == ASKED
    assert tell.event.shared_text == CATALOG.not_in_shared_room("open")
    return tell.event.text


def expected(state: Any, membership: Any = "join", **more: Any) -> str:
    more = {"stale_agent": None, "invited_to_space": False} | more
    return CATALOG.chat_opened("Chat 1", LINK, state=state, membership=membership, **more)


def test_an_archived_chat_is_open_again_in_its_row_and_on_the_homeserver():
    scenario = RoomScenario(chat_room(binding=ARCHIVED))
    result = comes_back(scenario)
    assert scenario.actor.room.binding == CHAT_BINDING
    (stored,) = [order for order in result.orders if isinstance(order, StoreBinding)]
    assert stored.content == CHAT_BINDING.content()
    assert answer_of(result) == expected("again")
    assert scenario.user_writes("hello").only_call.request.text == "hello"


@pytest.mark.parametrize("membership", ["leave", "declined"])
def test_an_owner_who_is_missing_is_invited_again_with_a_reason(membership):
    result = comes_back(RoomScenario(chat_room(owner_membership=membership)))
    (invite,) = [order for order in result.orders if isinstance(order, EnsureInvited)]
    assert invite == EnsureInvited(
        ROOM, ANNA, "Your chat with the default agent is waiting for you."
    )
    assert answer_of(result) == expected("already", membership)
    assert not any(isinstance(order, StoreBinding) for order in result.orders)


def test_a_chat_of_an_earlier_version_gets_what_new_ones_have():
    assert CompleteRoom(ROOM, SPACE, TOPIC) in comes_back(RoomScenario()).orders
    assert CompleteRoom(ROOM, SPACE, TOPIC) in RoomScenario().user_writes("!rename Plans").orders
    assert not any(
        isinstance(order, CompleteRoom) for order in RoomScenario().user_writes("hello").orders
    )


def test_where_nothing_is_to_do_the_answer_says_so_with_the_link():
    assert answer_of(comes_back(RoomScenario())) == expected("already")


def test_an_invitation_that_waits_is_named():
    result = comes_back(RoomScenario(chat_room(owner_membership="invite")))
    assert answer_of(result) == expected("already", "invite")


def test_a_chat_without_its_agent_comes_back_and_says_what_is_missing():
    scenario = RoomScenario(chat_room(binding=ARCHIVED), context_options={"agents": ("other",)})
    text = answer_of(comes_back(scenario))
    assert text == expected("again", stale_agent="the default agent")


def test_a_failed_chat_is_not_changed_and_says_what_to_do():
    scenario = RoomScenario(chat_room(state="failed", binding=ARCHIVED))
    result = comes_back(scenario)
    assert [type(order) for order in result.orders] == [EnsureInvited]
    assert scenario.actor.room.binding == ARCHIVED
    assert answer_of(result) == expected("failed")


def test_an_invitation_to_the_space_is_told():
    result = comes_back(RoomScenario(), invited_to_space=True)
    assert answer_of(result) == expected("already", invited_to_space=True)


def test_written_in_the_chat_itself_it_acts_before_the_next_message_and_is_answered_there():
    scenario = RoomScenario(chat_room(binding=ARCHIVED))
    result = scenario.user_writes("!open C1")
    (tell,) = result.tells
    own = ReplyTarget(ROOM, EventId("$1"))
    assert (tell.actor, tell.event) == (ANNA, OpenChatRequested(own, 1, reopened=True))
    assert scenario.actor.room.binding == CHAT_BINDING
    assert scenario.user_writes("hello").only_call.request.text == "hello"
    (message,) = [
        order
        for order in comes_back(scenario, reply_to=own, reopened=True).orders
        if isinstance(order, SendMessage)
    ]
    assert (message.body, message.answers) == (expected("again"), "$1")


def test_open_comes_after_an_archive_that_waits():
    scenario = RoomScenario()
    scenario.user_writes("a question")
    scenario.user_writes("!archive")
    assert scenario.user_writes("!open 1").effects == ()
    scenario.agent_done("an answer")
    assert scenario.actor.room.binding == CHAT_BINDING


@pytest.mark.parametrize("argument", ["", "0", "-1", "C", "1 2", "first", "１", "C0", "1" * 12])
def test_anything_but_a_number_is_refused_with_the_usage(argument):
    for room in (chat_room(), entry_room()):
        result = RoomScenario(room).user_writes(f"!open {argument}".strip())
        assert result.texts == [CATALOG.wrong_usage("open")]
        assert result.tells == []


def test_with_other_readers_it_is_refused():
    result = RoomScenario(entry_room(others=2)).user_writes("!open 1")
    assert result.texts == [CATALOG.not_in_shared_room("open")]


# -- who is in the room ------------------------------------------------------------------------------


def changed(scenario: RoomScenario, membership: Any, user_id: UserId = ANNA) -> str:
    room_id = scenario.actor.room.room_id
    scenario.handle(MemberChanged(room_id, EventId("$m"), user_id, membership), stored=True)
    return scenario.actor.room.owner_membership


def test_an_invitation_is_accepted_declined_or_left_later():
    scenario = RoomScenario()
    for membership, then in (
        ("invite", "invite"),
        ("join", "join"),
        ("leave", "leave"),
        ("invite", "invite"),
        ("leave", "declined"),
        ("leave", "declined"),
        ("join", "join"),
        ("ban", "leave"),
    ):
        assert changed(scenario, membership) == then


def test_an_invitation_before_the_binding_is_known_counts():
    scenario = RoomScenario(Room(RoomId("!new")))
    assert changed(scenario, "invite") == "invite"
    scenario.handle(RoomMade(CHAT_BINDING, "Chat 1"), stored=True)
    assert scenario.actor.room.owner_membership == "invite"


@pytest.mark.parametrize(
    ("before", "found", "after"),
    [
        ("join", "invite", "invite"),
        ("join", "leave", "leave"),
        ("declined", "leave", "declined"),
        ("leave", "join", "join"),
        ("leave", None, "leave"),
    ],
)
def test_a_repair_reads_the_membership_of_the_owner(before, found, after):
    scenario = RoomScenario(chat_room(state="reconciling", owner_membership=before))
    confirmed = TopologyConfirmed(
        CHAT_BINDING, "Chat 1", encrypted=False, backfill=False, owner_membership=found
    )
    scenario.handle(confirmed)
    assert scenario.actor.room.state == "bound"
    assert scenario.actor.room.owner_membership == after


def test_what_other_members_did_before_an_entry_room_was_known_does_not_count_for_the_inviter():
    scenario = RoomScenario(Room(ENTRY, "reconciling"))
    changed(scenario, "leave", UserId("@somebody:example.org"))
    binding = entry_room().binding
    assert binding is not None
    scenario.handle(TopologyConfirmed(binding, "", encrypted=False, backfill=False, others=2))
    assert scenario.actor.room.owner_present

"""The user's side of the way back: which chat `!open` means, what `!chats` marks, the Space (contracts O2, K3, K12)."""

from typing import Any

import pytest
from msgspec.structs import replace

from machines.events.effects import Ack, Enqueue, Tell
from machines.events.internal import (
    AnswerReady,
    ChatListRequested,
    NewChatRequested,
    OnboardingRequested,
    OpenChatRequested,
    OrderDone,
    ReplyTarget,
    WayBackRequested,
)
from machines.events.orders import CreateRoom, Done, EnsureInvited, Refused, RoomCreated
from machines.ids import EventId, RoomId
from machines.user.actor import UserActor
from machines.user.chats import ChatSummary
from machines.user.machine import User
from tests.machines.support import (
    ANNA,
    CATALOG,
    ENTRY,
    SPACE,
    StepResult,
    UserScenario,
    make_context,
)

ASKED = ReplyTarget(ENTRY, EventId("$asked"))
SPACE_REASON = "This is your Space: it holds all your chats with Lambda."
INVITE_TO_SPACE = EnsureInvited(SPACE, ANNA, SPACE_REASON)


def chat(number: int, **changes: Any) -> ChatSummary:
    summary = ChatSummary(
        RoomId(f"!c{number}"), f"C{number}", f"Chat {number}", "default", False, "bound"
    )
    return replace(summary, **changes)


def with_chats(*chats: ChatSummary) -> UserScenario:
    scenario = UserScenario(User(ANNA, space_id=SPACE, next_chat_index=9))
    scenario.actor = UserActor(scenario.user, chats)
    return scenario


def page_of(*chats: ChatSummary) -> list[str]:
    (text,) = with_chats(*chats).handle(ChatListRequested(ASKED)).texts
    return text.splitlines()


def test_open_asks_the_room_of_the_chat_with_that_number():
    result = with_chats(chat(1), chat(3)).handle(OpenChatRequested(ASKED, 3))
    request = WayBackRequested(ASKED, reopened=False, invited_to_space=False)
    assert result.effects == (Tell(RoomId("!c3"), request), Ack(1))


@pytest.mark.parametrize("number", [2, 13, 99])
def test_an_unknown_number_is_answered_with_where_the_numbers_are(number):
    result = with_chats(chat(1), chat(3)).handle(OpenChatRequested(ASKED, number))
    (tell,) = result.tells
    assert isinstance(tell.event, AnswerReady)
    assert tell.event.text == CATALOG.open_unknown(number)
    assert tell.event.shared_text == CATALOG.not_in_shared_room("open")
    assert "`!chats`" in tell.event.text


@pytest.mark.parametrize("membership", ["leave", "declined"])
def test_open_and_new_invite_to_a_space_that_the_user_left_or_declined(membership):
    result = with_chats(chat(1, space_membership=membership)).handle(OpenChatRequested(ASKED, 1))
    assert result.orders == [INVITE_TO_SPACE]
    assert result.tells[0].event == WayBackRequested(ASKED, reopened=False, invited_to_space=True)
    scenario = with_chats(chat(1, space_membership=membership))
    steps = [scenario.handle(NewChatRequested(ASKED, "Plans"))]
    while reporting := [send for send in steps[-1].of(Enqueue) if send.reports]:
        made = isinstance(reporting[0].order, CreateRoom)
        outcome = RoomCreated(RoomId("!new")) if made else Done()
        steps.append(scenario.handle(OrderDone(reporting[0].txn_id, outcome)))
    assert INVITE_TO_SPACE in steps[-1].orders
    assert steps[-1].texts[-1].endswith(CATALOG.format("invited_to_space"))


def test_a_member_of_the_space_is_not_told_of_an_invitation_to_it():
    scenario = with_chats(chat(1))
    assert scenario.handle(OpenChatRequested(ASKED, 1)).orders == []


def test_each_invitation_after_another_invitation_of_the_bot_has_a_reason():
    result = with_chats(chat(1), chat(2)).handle(OnboardingRequested(ReplyTarget(ENTRY)))
    reason = "Your chat with the default agent is waiting for you."
    assert [order for order in result.orders if isinstance(order, EnsureInvited)] == [
        INVITE_TO_SPACE,
        EnsureInvited(RoomId("!c1"), ANNA, reason),
        EnsureInvited(RoomId("!c2"), ANNA, reason),
    ]


@pytest.mark.parametrize(
    ("memberships", "hints", "chat_id"),
    [
        (("join", "join"), {"away": False, "invited": False}, 2),
        (("join", "invite"), {"away": False, "invited": True}, 1),
        (("join", "leave"), {"away": True, "invited": False}, 1),
        (("declined", "invite"), {"away": True, "invited": True}, 2),
    ],
)
def test_another_invitation_says_what_is_missing_and_links_a_chat_that_the_user_is_in(
    memberships, hints, chat_id
):
    chats = [chat(n, owner_membership=each) for n, each in enumerate(memberships, 1)]
    result = with_chats(*chats).handle(OnboardingRequested(ReplyTarget(ENTRY)))
    linked = chats[chat_id - 1]
    link = make_context().link(linked.room_id)
    assert result.texts == [CATALOG.already_here(linked.name, link, **hints)]


def test_new_rooms_have_a_topic_and_their_invitations_a_reason():
    def orders_of(result: StepResult) -> list[CreateRoom]:
        return [order for order in result.orders if isinstance(order, CreateRoom)]

    (order,) = orders_of(with_chats(chat(1)).handle(NewChatRequested(ASKED, "")))
    assert order.topic == "A chat with the default agent."
    assert order.reason == "Your new chat with the default agent is ready."


# -- the list ----------------------------------------------------------------------------------------


def test_the_list_marks_archived_left_declined_and_waiting_chats():
    lines = page_of(
        chat(1),
        chat(2, archived=True),
        chat(3, owner_membership="leave"),
        chat(4, owner_membership="invite"),
        chat(5, owner_membership="declined"),
        chat(6, archived=True, owner_membership="leave"),
        chat(7, agent_id="gone", owner_membership="leave"),
    )
    ends = [line.rpartition(" · ")[2] for line in lines if line.startswith("- C")]
    assert ends == [
        "open",
        "archived",
        "you left",
        "invitation not accepted yet",
        "you declined the invitation",
        "archived, you left",
        "its agent is gone, you left",
    ]


def test_the_list_says_how_to_bring_back_what_can_be_brought_back():
    hint = "To bring a chat back, send for example `!open 2`."
    for marked in (chat(2, archived=True), chat(2, owner_membership="leave")):
        assert page_of(chat(1), marked)[-1] == hint
    assert page_of(chat(1), chat(2, owner_membership="invite"))[-1] == (
        "To start a chat, accept its invitation."
    )
    assert page_of(chat(1), chat(2))[-1].startswith("- C2")
    assert "Space" in page_of(chat(1, space_membership="leave"))[-1]


# -- plain text in the entry room --------------------------------------------------------------------


def plain_text(*chats: ChatSummary) -> str:
    (text,) = with_chats(*chats).handle(OnboardingRequested(ASKED)).texts
    return text


def test_plain_text_points_to_a_chat_that_the_user_can_write_in():
    gone = chat(4, owner_membership="leave")
    assert "Chat 2" in plain_text(chat(1), chat(2), chat(3, owner_membership="invite"), gone)
    assert "Chat 3" in plain_text(chat(3, owner_membership="invite"), gone)


@pytest.mark.parametrize("changes", [{"archived": True}, {"owner_membership": "leave"}])
def test_plain_text_names_the_way_back_if_no_chat_is_left(changes):
    assert plain_text(chat(1, archived=True), chat(2, **changes)) == (
        CATALOG.entry_way_back("Chat 2", 2)
    )


def test_an_invitation_names_the_way_back_if_all_chats_are_archived():
    result = with_chats(chat(1, archived=True)).handle(OnboardingRequested(ReplyTarget(ENTRY)))
    assert result.texts == [CATALOG.entry_way_back("Chat 1", 1)]


def test_the_homeservers_words_about_a_refusal_are_not_shown_to_other_readers():
    scenario = with_chats(chat(1))
    (send,) = [
        each for each in scenario.handle(NewChatRequested(ASKED, "")).of(Enqueue) if each.reports
    ]
    refused = Refused("forbidden", "M_FORBIDDEN", "@carol:example.org is banned from !c1")
    (tell,) = scenario.handle(OrderDone(send.txn_id, refused)).tells
    assert isinstance(tell.event, AnswerReady)
    assert tell.event.text == CATALOG.new_failed(refused.reason)
    assert tell.event.shared_text == CATALOG.new_failed("M_FORBIDDEN")

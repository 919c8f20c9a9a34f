"""The actor of a user: one Space, one new chat at a time, and ids that are never reused (O1–O3, K2, K3)."""

from typing import Any

import pytest
from msgspec.structs import replace

from machines.events.effects import (
    Ack,
    Enqueue,
    Log,
    ReservePlatformChatId,
)
from machines.events.internal import (
    ChatListRequested,
    ChatRecovered,
    NewChatRequested,
    OnboardingRequested,
    OrderDone,
    ReplyTarget,
    RoomCompleted,
    RoomMade,
)
from machines.events.orders import (
    CreateRoom,
    Done,
    EnsureInvited,
    LinkChild,
    LookUpName,
    NameFound,
    Refused,
    RoomCreated,
    SendMessage,
)
from machines.ids import EventId, RoomId, TxnId
from machines.user.chats import ChatSummary
from machines.user.machine import User
from tests.machines.support import (
    ANNA,
    CATALOG,
    ENTRY,
    ROOM,
    SPACE,
    UserScenario,
    make_context,
)
from tests.machines.user.orders import complete_orders, order_of, outcome_of

INVITED = ReplyTarget(ENTRY)
WROTE = ReplyTarget(ENTRY, EventId("$hello"))
NO = Refused("forbidden", "M_FORBIDDEN", "not here")


def onboarded() -> UserScenario:
    scenario = UserScenario()
    complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    assert scenario.actor.user.state == "resting"
    return scenario


# -- onboarding --------------------------------------------------------------------------------------


def test_a_new_user_gets_a_space_and_a_first_chat_linked_both_ways():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    orders = [order for result in steps for order in result.orders]

    assert [type(order) for order in orders] == [
        LookUpName,
        CreateRoom,
        CreateRoom,
        LinkChild,
        SendMessage,
    ]
    space, chat, link = orders[1:4]
    assert (space.name, space.invite, space.space) == ("Lambda — Anna", ANNA, True)
    assert (chat.name, chat.invite, chat.parent, chat.space) == ("Chat 1", ANNA, SPACE, False)
    assert (link.space_id, link.room_id) == (SPACE, ROOM)
    assert len({space.nonce, chat.nonce}) == 2


def test_a_new_chat_is_logged_once_with_its_owner_and_without_its_name():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    logs = [log for step in steps for log in step.of(Log)]
    assert [(log.event, log.warning) for log in logs] == [("chat_made", False)]
    assert logs[0].fields == {
        "room_id": ROOM,
        "chat_id": "C1",
        "matrix_user_id": ANNA,
        "agent": "default",
        "space_id": SPACE,
    }


def test_a_pointer_that_a_message_requested_answers_that_message():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(WROTE)))
    assert steps[-1].messages[-1].answers == "$hello"


def test_rooms_get_their_binding_before_they_are_linked():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    bindings = [
        tell
        for result in steps
        for tell in result.tells
        if isinstance(tell.event, RoomMade | RoomCompleted)
    ]
    assert [(tell.actor, type(tell.event)) for tell in bindings] == [
        (SPACE, RoomMade),
        (SPACE, RoomCompleted),
        (ROOM, RoomMade),
        (ROOM, RoomCompleted),
    ]
    names = [tell.event.name for tell in bindings]
    assert names == ["Lambda — Anna", "Lambda — Anna", "Chat 1", "Chat 1"]
    binding = bindings[-1].event.binding
    assert (binding.chat_id, binding.platform_chat_id) == ("C1", "8")
    assert (binding.agent_id, binding.space_id) == ("default", SPACE)


def test_two_invitations_at_once_create_one_space():
    scenario = UserScenario()
    first = scenario.handle(OnboardingRequested(INVITED))
    second = scenario.handle(OnboardingRequested(ReplyTarget(RoomId("!other"))))
    assert second.effects == ()
    steps = complete_orders(scenario, first)
    assert sum(isinstance(o, CreateRoom) for result in steps for o in result.orders) == 2
    assert second.acked + steps[-1].acked == [scenario.seq, 2]
    pointers = [m for m in steps[-1].messages if m.room_id == "!other"]
    assert len(pointers) == 1


def test_a_second_invitation_points_to_the_chat_and_invites_to_its_rooms():
    scenario = onboarded()
    result = scenario.handle(OnboardingRequested(INVITED))
    assert [(o.room_id, o.user_id) for o in result.orders if isinstance(o, EnsureInvited)] == [
        (SPACE, ANNA),
        (ROOM, ANNA),
    ]
    (pointer,) = result.messages
    assert pointer.room_id == ENTRY
    assert not any(isinstance(order, CreateRoom) for order in result.orders)


def test_an_archived_chat_is_neither_pointed_to_nor_invited_to():
    scenario = onboarded()
    (chat,) = scenario.actor.chats
    other = replace(chat, room_id=RoomId("!other"), chat_id="C2", archived=True)
    scenario.actor = replace(scenario.actor, chats=(chat, other))
    result = scenario.handle(OnboardingRequested(INVITED))
    assert RoomId("!other") not in [
        o.room_id for o in result.orders if isinstance(o, EnsureInvited)
    ]


def test_a_user_with_a_space_but_no_chat_gets_a_chat_in_that_space():
    scenario = UserScenario(User(ANNA, space_id=SPACE, next_chat_index=5))
    result = scenario.handle(OnboardingRequested(INVITED))
    order = order_of(result, CreateRoom).order
    assert (order.space, order.parent, order.name) == (False, SPACE, "Chat 5")


# -- interruption ------------------------------------------------------------------------------------


def test_the_same_step_repeated_gives_the_same_order_with_the_same_ids():
    def orders() -> list[Enqueue]:
        scenario = UserScenario()
        steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
        return [send for result in steps for send in result.of(Enqueue)]

    assert orders() == orders()


def test_a_chat_whose_row_exists_before_it_is_complete_is_listed_once():
    scenario = UserScenario()
    result = scenario.handle(OnboardingRequested(INVITED))
    while scenario.actor.user.state != "linking":
        (send,) = [send for send in result.of(Enqueue) if send.reports]
        result = scenario.order_done(send, outcome_of(send.order))
    incomplete = ChatSummary(ROOM, "C1", "Chat 1", "default", archived=False, state="reconciling")
    scenario.actor = replace(scenario.actor, chats=(incomplete,))
    (link,) = [send for send in result.of(Enqueue) if send.reports]
    result = scenario.order_done(link, Done())
    assert [chat.room_id for chat in scenario.actor.chats] == [ROOM]
    assert CATALOG.entry_pointer("Chat 1", make_context().link(ROOM)) in result.texts


@pytest.mark.parametrize(
    "state", ["naming", "making_space", "making_chat", "linking"], ids=lambda state: state
)
def test_a_refusal_of_the_current_step_ends_the_request_with_an_answer(state):
    scenario = UserScenario()
    result = scenario.handle(OnboardingRequested(WROTE))
    while scenario.actor.user.state != state:
        (send,) = [send for send in result.of(Enqueue) if send.reports]
        result = scenario.order_done(send, outcome_of(send.order))
    (send,) = [send for send in result.of(Enqueue) if send.reports]
    refused = scenario.order_done(send, NO)

    assert scenario.actor.user.state == "resting"
    failed = CATALOG.new_failed if scenario.actor.user.space_id else CATALOG.setup_failed
    assert refused.texts == [failed("not here")]
    assert refused.messages[0].answers == "$hello"
    user = scenario.actor.user
    assert (user.reply_to, user.chat, user.new_room_id) == (None, None, None)


def test_a_refused_space_is_ordered_again_with_a_new_transaction_id():
    scenario, ids = UserScenario(), []
    for _ in range(2):
        named = scenario.order_done(
            order_of(scenario.handle(OnboardingRequested(INVITED)), LookUpName), NameFound("Anna")
        )
        space = order_of(named, CreateRoom)
        ids.append(space.txn_id)
        scenario.order_done(space, NO)
    assert ids[0] != ids[1]


def test_a_refusal_of_another_order_does_not_end_the_current_step():
    scenario = onboarded()
    result = scenario.handle(NewChatRequested(WROTE, "Plans"))
    before = scenario.actor
    for txn_id in (f"{ANNA}.C1.welcome", f"{ANNA}.1000000.invite.0", f"{ANNA}.1000000.1.name"):
        stray = OrderDone(TxnId(txn_id), NO)
        assert scenario.handle(stray).texts == []
        assert scenario.actor == before
    assert complete_orders(scenario, result)[-1].messages
    assert [chat.name for chat in scenario.actor.chats] == ["Chat 1", "Plans"]


def test_an_outcome_of_no_current_step_is_only_acknowledged():
    scenario = onboarded()
    before = scenario.actor
    for outcome in (Done(), RoomCreated(RoomId("!late")), NameFound("Anna"), NO):
        result = scenario.handle(OrderDone(TxnId(f"{ANNA}.C1.room"), outcome))
        assert result.acked == [scenario.seq]
        assert len(result.effects) == 1
    assert scenario.actor == before


# -- users who are no longer allowed -----------------------------------------------------------------

NARROWED = {"allowed": ("@somebody:else",)}


@pytest.mark.parametrize(
    "request_of",
    [OnboardingRequested(INVITED), NewChatRequested(WROTE, "Plans"), ChatListRequested(WROTE)],
)
def test_a_request_of_a_user_who_is_no_longer_allowed_is_dropped(request_of):
    for scenario in (UserScenario(), onboarded()):
        scenario.context_options = NARROWED
        result = scenario.handle(request_of)
        assert [type(effect) for effect in result.effects] == [Log, Ack]


@pytest.mark.parametrize("state", ["naming", "making_space", "making_chat", "linking"])
@pytest.mark.parametrize("refused", [False, True])
def test_the_creation_of_a_chat_ends_if_its_user_is_no_longer_allowed(state, refused):
    scenario = UserScenario()
    result = scenario.handle(OnboardingRequested(WROTE))
    while scenario.actor.user.state != state:
        (send,) = [send for send in result.of(Enqueue) if send.reports]
        result = scenario.order_done(send, outcome_of(send.order))
    (send,) = [send for send in result.of(Enqueue) if send.reports]
    scenario.context_options = NARROWED
    result = scenario.order_done(send, NO if refused else outcome_of(send.order))
    assert [type(effect) for effect in result.effects] == [Log, Ack]
    assert scenario.actor.user.state == "resting"


# -- further chats -----------------------------------------------------------------------------------


def test_new_chats_are_numbered_named_and_created_one_after_the_other():
    scenario = onboarded()
    first = scenario.handle(NewChatRequested(WROTE, ""))
    waiting = scenario.handle(NewChatRequested(WROTE, "Plans"))
    assert waiting.effects == ()

    complete_orders(scenario, first)
    assert [(c.chat_id, c.name, c.room_id) for c in scenario.actor.chats] == [
        ("C1", "Chat 1", ROOM),
        ("C2", "Chat 2", "!Chat 2"),
        ("C3", "Plans", "!Plans"),
    ]
    assert scenario.actor.user.next_chat_index == 4
    assert scenario.next_context == 11


def test_the_number_of_a_chat_that_was_not_created_is_not_used_again():
    scenario = onboarded()
    result = scenario.handle(NewChatRequested(WROTE, ""))
    scenario.order_done(order_of(result, CreateRoom), NO)
    order = order_of(scenario.handle(NewChatRequested(WROTE, "")), CreateRoom)
    assert order.order.name == "Chat 3"


def test_every_assigned_platform_chat_id_is_reserved():
    scenario = UserScenario()
    steps = complete_orders(scenario, scenario.handle(OnboardingRequested(INVITED)))
    steps += complete_orders(scenario, scenario.handle(NewChatRequested(WROTE, "")))
    reserved = [each for result in steps for each in result.of(ReservePlatformChatId)]
    assert reserved == [ReservePlatformChatId("8"), ReservePlatformChatId("9")]


def test_a_recovered_chat_raises_the_counter_above_its_number():
    scenario = UserScenario()
    scenario.handle(ChatRecovered(SPACE, 7))
    scenario.handle(ChatRecovered(RoomId("!elsewhere"), 3))
    assert (scenario.actor.user.space_id, scenario.actor.user.next_chat_index) == (SPACE, 8)
    order = order_of(scenario.handle(NewChatRequested(WROTE, "")), CreateRoom)
    assert order.order.name == "Chat 8"


# -- !chats ------------------------------------------------------------------------------------------


def test_chats_are_listed_with_number_name_agent_and_state():
    def chat(number: int, agent_id: str = "default", **changes: Any) -> ChatSummary:
        plain = ChatSummary(
            RoomId(f"!{number}"), f"C{number}", f"Name {number}", agent_id, False, "bound"
        )
        return replace(plain, **changes)

    scenario = UserScenario()
    chats = (chat(1), chat(2, archived=True), chat(3, "gone"), chat(4, state="failed"))
    scenario.actor = replace(scenario.actor, chats=chats)
    (page,) = scenario.handle(
        ChatListRequested(ReplyTarget(RoomId("!2"), EventId("$list")))
    ).messages

    assert (page.room_id, page.answers, page.notice) == ("!2", "$list", True)
    for each in chats:
        (line,) = [line for line in page.body.splitlines() if f"Name {each.chat_id[1:]}" in line]
        assert each.chat_id[1:] in line
        assert f"the {each.agent_id} agent" in line
    lines = page.body.splitlines()
    state = {number: next(x for x in lines if f"Name {number}" in x).lower() for number in "1234"}
    assert "archived" in state["2"]
    assert "archived" not in state["1"] + state["3"] + state["4"]


def test_a_user_without_chats_gets_an_answer():
    result = UserScenario().handle(ChatListRequested(WROTE))
    assert result.texts == [CATALOG.no_chats()]
    assert result.acked == [1]


def test_an_event_for_another_kind_of_actor_raises():
    with pytest.raises(AssertionError, match="unreachable"):
        UserScenario().handle(object())

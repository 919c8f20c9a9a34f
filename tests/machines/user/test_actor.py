"""One user, one Space; one chat made at a time; ids that are never given twice (O1–O3, K2, K3)."""

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
    StepResult,
    UserScenario,
    make_context,
)

INVITED = ReplyTarget(ENTRY)
WROTE = ReplyTarget(ENTRY, EventId("$hello"))
NO = Refused("forbidden", "M_FORBIDDEN", "not here")


def order_of(result: StepResult, kind: type) -> Enqueue:
    (send,) = [send for send in result.of(Enqueue) if isinstance(send.order, kind)]
    assert isinstance(send, Enqueue)
    return send


def outcome_of(order: Any) -> Any:
    """What a homeserver answers that does everything; a chat's room is named after the chat."""
    match order:
        case LookUpName():
            return NameFound("Anna")
        case CreateRoom(space=True):
            return RoomCreated(SPACE)
        case CreateRoom(name=name):
            return RoomCreated(ROOM if name == "Chat 1" else RoomId(f"!{name}"))
        case _:
            return Done()


def let_happen(scenario: UserScenario, result: StepResult) -> list[StepResult]:
    """Carry out orders that report until there are none left; returns every step."""
    steps = [result]
    while reporting := [send for send in steps[-1].of(Enqueue) if send.reports]:
        (send,) = reporting
        steps.append(scenario.order_done(send, outcome_of(send.order)))
    return steps


def onboarded() -> UserScenario:
    scenario = UserScenario()
    let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
    assert scenario.actor.user.state == "resting"
    return scenario


# -- onboarding --------------------------------------------------------------------------------------


def test_a_new_user_gets_a_space_and_a_first_chat_linked_both_ways():
    scenario = UserScenario()
    steps = let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
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


def test_the_welcome_goes_to_the_chat_and_the_pointer_to_the_entry_room():
    scenario = UserScenario()
    steps = let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
    welcome, pointer = steps[-1].messages
    assert (welcome.room_id, welcome.notice, welcome.answers) == (ROOM, True, None)
    assert (pointer.room_id, pointer.notice, pointer.answers) == (ENTRY, True, None)
    assert ROOM.removeprefix("!") in pointer.body


def test_a_pointer_that_was_asked_for_with_a_message_answers_it():
    scenario = UserScenario()
    steps = let_happen(scenario, scenario.handle(OnboardingRequested(WROTE)))
    assert steps[-1].messages[-1].answers == "$hello"


def test_the_rooms_learn_what_they_are_before_they_may_be_talked_in():
    scenario = UserScenario()
    steps = let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
    learned = [
        tell
        for result in steps
        for tell in result.tells
        if isinstance(tell.event, RoomMade | RoomCompleted)
    ]
    assert [(tell.actor, type(tell.event)) for tell in learned] == [
        (SPACE, RoomMade),
        (SPACE, RoomCompleted),
        (ROOM, RoomMade),
        (ROOM, RoomCompleted),
    ]
    names = [tell.event.name for tell in learned]
    assert names == ["Lambda — Anna", "Lambda — Anna", "Chat 1", "Chat 1"]
    binding = learned[-1].event.binding
    assert (binding.chat_id, binding.platform_chat_id) == ("C1", "8")
    assert (binding.agent_id, binding.space_id) == ("default", SPACE)


def test_two_invitations_at_once_make_one_space():
    scenario = UserScenario()
    first = scenario.handle(OnboardingRequested(INVITED))
    second = scenario.handle(OnboardingRequested(ReplyTarget(RoomId("!other"))))
    assert second.effects == ()
    steps = let_happen(scenario, first)
    assert sum(isinstance(o, CreateRoom) for result in steps for o in result.orders) == 2
    assert second.acked + steps[-1].acked == [scenario.seq, 2]
    pointers = [m for m in steps[-1].messages if m.room_id == "!other"]
    assert len(pointers) == 1


def test_a_second_invitation_points_to_what_exists_and_invites_where_he_is_missing():
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
        steps = let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
        return [send for result in steps for send in result.of(Enqueue)]

    assert orders() == orders()


def test_a_chat_whose_row_is_read_before_it_is_finished_is_still_the_first_and_there_once():
    scenario = UserScenario()
    result = scenario.handle(OnboardingRequested(INVITED))
    while scenario.actor.user.state != "linking":
        (send,) = [send for send in result.of(Enqueue) if send.reports]
        result = scenario.order_done(send, outcome_of(send.order))
    half_made = ChatSummary(ROOM, "C1", "Chat 1", "default", archived=False, state="reconciling")
    scenario.actor = replace(scenario.actor, chats=(half_made,))
    (link,) = [send for send in result.of(Enqueue) if send.reports]
    result = scenario.order_done(link, Done())
    assert [chat.room_id for chat in scenario.actor.chats] == [ROOM]
    assert CATALOG.entry_pointer("Chat 1", make_context().link(ROOM)) in result.texts


@pytest.mark.parametrize(
    "state", ["naming", "making_space", "making_chat", "linking"], ids=lambda state: state
)
def test_a_refusal_of_the_step_in_hand_ends_it_and_says_so(state):
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
    assert (scenario.actor.user.reply_to, scenario.actor.user.chat, scenario.actor.user.made) == (
        None,
        None,
        None,
    )


def test_a_space_that_was_refused_is_ordered_again_as_an_order_of_its_own():
    scenario, ids = UserScenario(), []
    for _ in range(2):
        named = scenario.order_done(
            order_of(scenario.handle(OnboardingRequested(INVITED)), LookUpName), NameFound("Anna")
        )
        space = order_of(named, CreateRoom)
        ids.append(space.txn_id)
        scenario.order_done(space, NO)
    assert ids[0] != ids[1]


def test_a_refusal_of_something_else_leaves_the_step_in_hand_alone():
    scenario = onboarded()
    result = scenario.handle(NewChatRequested(WROTE, "Plans"))
    before = scenario.actor
    for txn_id in (f"{ANNA}.C1.welcome", f"{ANNA}.1000000.invite.0", f"{ANNA}.1000000.1.name"):
        stray = OrderDone(TxnId(txn_id), NO)
        assert scenario.handle(stray).texts == []
        assert scenario.actor == before
    assert let_happen(scenario, result)[-1].messages
    assert [chat.name for chat in scenario.actor.chats] == ["Chat 1", "Plans"]


def test_an_outcome_that_nobody_waits_for_is_only_finished():
    scenario = onboarded()
    before = scenario.actor
    for outcome in (Done(), RoomCreated(RoomId("!late")), NameFound("Anna"), NO):
        result = scenario.handle(OrderDone(TxnId(f"{ANNA}.C1.room"), outcome))
        assert result.acked == [scenario.seq]
        assert len(result.effects) == 1
    assert scenario.actor == before


# -- who may talk to the bot no more ----------------------------------------------------------------

NARROWED = {"allowed": ("@somebody:else",)}


@pytest.mark.parametrize(
    "request_of",
    [OnboardingRequested(INVITED), NewChatRequested(WROTE, "Plans"), ChatListRequested(WROTE)],
)
def test_a_request_of_one_who_may_not_talk_to_the_bot_any_more_is_dropped(request_of):
    for scenario in (UserScenario(), onboarded()):
        scenario.context_options = NARROWED
        result = scenario.handle(request_of)
        assert [type(effect) for effect in result.effects] == [Log, Ack]


@pytest.mark.parametrize("state", ["naming", "making_space", "making_chat", "linking"])
@pytest.mark.parametrize("refused", [False, True])
def test_what_is_being_made_goes_no_further_for_one_who_may_not_talk_to_the_bot_any_more(
    state, refused
):
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


def test_new_chats_are_numbered_named_and_made_one_after_the_other():
    scenario = onboarded()
    first = scenario.handle(NewChatRequested(WROTE, ""))
    waiting = scenario.handle(NewChatRequested(WROTE, "Plans"))
    assert waiting.effects == ()

    let_happen(scenario, first)
    assert [(c.chat_id, c.name, c.room_id) for c in scenario.actor.chats] == [
        ("C1", "Chat 1", ROOM),
        ("C2", "Chat 2", "!Chat 2"),
        ("C3", "Plans", "!Plans"),
    ]
    assert scenario.actor.user.next_chat_index == 4
    assert scenario.next_context == 11


def test_the_number_of_a_chat_that_could_not_be_made_is_not_used_again():
    scenario = onboarded()
    result = scenario.handle(NewChatRequested(WROTE, ""))
    scenario.order_done(order_of(result, CreateRoom), NO)
    order = order_of(scenario.handle(NewChatRequested(WROTE, "")), CreateRoom)
    assert order.order.name == "Chat 3"


def test_every_context_that_is_given_out_is_told():
    scenario = UserScenario()
    steps = let_happen(scenario, scenario.handle(OnboardingRequested(INVITED)))
    steps += let_happen(scenario, scenario.handle(NewChatRequested(WROTE, "")))
    taken = [each for result in steps for each in result.of(ReservePlatformChatId)]
    assert taken == [ReservePlatformChatId("8"), ReservePlatformChatId("9")]


def test_a_recovered_chat_moves_the_counter_past_its_number_and_never_back():
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


def test_a_user_without_chats_is_told_so():
    result = UserScenario().handle(ChatListRequested(WROTE))
    assert result.texts == [CATALOG.no_chats()]
    assert result.acked == [1]


def test_an_event_of_another_kind_of_actor_is_a_fault_of_ours():
    with pytest.raises(AssertionError, match="unreachable"):
        UserScenario().handle(object())

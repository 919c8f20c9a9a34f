"""An entry room with others in it: nothing of anybody is shown, and only what is meant for the bot is answered (O5)."""

from typing import Any

import pytest
from msgspec.structs import replace

from machines.events.effects import Enqueue, Reconcile, Tell
from machines.events.internal import (
    AnswerReady,
    ChatListRequested,
    OnboardingRequested,
    ReplyTarget,
    TopologyConfirmed,
)
from machines.events.matrix import (
    FileArrived,
    MalformedArrived,
    MemberChanged,
    MembersCounted,
    MessageArrived,
)
from machines.ids import EventId
from machines.room.binding import Binding
from machines.user.chats import ChatSummary
from machines.user.machine import User
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    CHAT_BINDING,
    ENTRY,
    ROOM,
    SPACE,
    RoomScenario,
    StepResult,
    UserScenario,
    entry_room,
)

CALLED = EventId("$called")


def shared_room(others: int | None = 2) -> RoomScenario:
    return RoomScenario(entry_room(others=others))


def calls(scenario: RoomScenario, **changes: Any) -> StepResult:
    """Anna mentions the bot, or replies to it."""
    message = MessageArrived(ENTRY, CALLED, ANNA, "hello, bot", 0, addressed=True)
    return scenario.handle(replace(message, **changes), stored=True)


@pytest.mark.parametrize("sender", [ANNA, BERT])
def test_what_people_say_to_each_other_is_not_answered(sender):
    result = shared_room().user_writes("hello", sender=sender)
    assert len(result.effects) == len(result.acked) == 1


def test_a_file_and_what_cannot_be_read_are_not_answered_either():
    scenario = shared_room()
    file = FileArrived(ENTRY, EventId("$file"), ANNA, "a.pdf", 0)
    assert len(scenario.handle(file, stored=True).effects) == 1
    assert len(scenario.handle(MalformedArrived(ENTRY, CALLED, ANNA), stored=True).effects) == 1


def test_what_is_meant_for_the_bot_is_passed_to_the_users_actor():
    (tell,) = calls(shared_room()).tells
    assert tell == Tell(ANNA, OnboardingRequested(ReplyTarget(ENTRY, CALLED)))


def test_alone_with_its_user_the_bot_answers_plain_text():
    assert len(shared_room(1).user_writes("hello").tells) == 1


@pytest.mark.parametrize(
    "body", ["!chats", "!settings", "!skills", "!safety", "!soul", "!agent", "!SETTINGS"]
)
def test_commands_that_show_what_is_somebodys_own_show_nothing_there(body):
    result = shared_room().user_writes(body)
    assert result.texts == [CATALOG.not_in_company(body[1:].lower())]
    assert result.messages[0].answers == "$1"
    assert CATALOG.not_in_company(body[1:].lower()) not in shared_room(1).user_writes(body).texts


@pytest.mark.parametrize("body", ["!help", "!nonsense", "!skill off files", "!soul Be brief."])
def test_other_commands_work_there(body):
    assert shared_room().user_writes(body).texts == shared_room(1).user_writes(body).texts != []


def ready(text: str = "Chat 1 is at a link") -> AnswerReady:
    return AnswerReady(ReplyTarget(ENTRY, CALLED), text, "nothing is named")


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (0, "Chat 1 is at a link"),
        (1, "Chat 1 is at a link"),
        (2, "nothing is named"),
        (None, "nothing is named"),
    ],
)
def test_the_answer_of_a_users_actor_is_said_as_it_may_be_heard(others, said):
    result = shared_room(others).handle(ready(), stored=True)
    (send,) = result.of(Enqueue)
    assert (result.texts, send.order.answers, send.order.notice) == ([said], CALLED, True)


def test_the_answer_to_an_invitation_answers_no_message():
    pointer = AnswerReady(ReplyTarget(ENTRY), "a link", "nothing is named")
    (message,) = shared_room(1).handle(pointer, stored=True).messages
    assert (message.body, message.answers, message.notice) == ("a link", None, True)


def test_the_answer_to_an_invitation_names_nothing_once_the_inviter_is_gone():
    scenario = shared_room()
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    pointer = AnswerReady(ReplyTarget(ENTRY), "a link", "nothing is named")
    assert scenario.handle(pointer, stored=True).texts == ["nothing is named"]


def test_in_a_chat_everything_is_said():
    result = RoomScenario().handle(
        AnswerReady(ReplyTarget(ROOM, CALLED), "a link", "nothing is named"), stored=True
    )
    assert result.texts == ["a link"]


def test_whoever_came_is_there_before_the_answer():
    scenario = shared_room(1)
    assert scenario.user_writes("!new Garden").tells
    scenario.handle(MembersCounted(ENTRY, 2), stored=True)
    assert scenario.handle(ready(), stored=True).texts == ["nothing is named"]
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    assert scenario.handle(ready(), stored=True).texts == ["Chat 1 is at a link"]


def seen(others: int | None, binding: Binding | None = None) -> TopologyConfirmed:
    return TopologyConfirmed(binding or Binding("entry", ANNA), "", False, False, others)


def test_where_it_is_not_known_who_is_there_it_is_looked_up_before_anything_is_said():
    scenario = shared_room(1)
    scenario.handle(MembersCounted(ENTRY, None), stored=True)
    result = scenario.user_writes("hello")
    assert result.of(Reconcile) == [Reconcile()]
    assert result.acked == []
    assert scenario.actor.due_at() is None, "nothing but the look is waited for"
    assert scenario.user_writes("!chats").effects == ()
    result = scenario.handle(seen(1))
    assert [type(tell.event) for tell in result.tells] == [
        OnboardingRequested,
        ChatListRequested,
    ]
    assert scenario.actor.room.others == 1
    assert scenario.user_writes("hello").of(Reconcile) == []


@pytest.mark.parametrize("others", [2, None])
def test_what_a_look_cannot_see_counts_as_company(others):
    scenario = shared_room(None)
    scenario.user_writes("hello")
    result = scenario.handle(seen(others))
    assert (len(result.acked), result.tells) == (1, [])
    assert scenario.actor.room.has_other_readers


def test_a_look_that_came_late_changes_nothing_in_a_bound_chat():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    before = scenario.actor
    assert scenario.handle(seen(3, CHAT_BINDING)).effects == ()
    assert scenario.actor == before


def test_members_of_a_chat_are_not_counted_and_a_changed_member_is_not_a_count():
    scenario = RoomScenario()
    scenario.handle(MembersCounted(ROOM, 5), stored=True)
    assert not scenario.actor.room.has_other_readers
    entry = shared_room(1)
    entry.handle(MemberChanged(ENTRY, EventId("$m"), BERT, "leave"), stored=True)
    assert entry.actor.room.others == 1


def test_a_repair_tells_who_is_there():
    scenario = RoomScenario(entry_room(state="reconciling", others=None))
    scenario.handle(seen(4))
    assert (scenario.actor.room.state, scenario.actor.room.others) == ("bound", 4)


def test_what_a_users_actor_says_in_company_names_no_chat_and_no_link():
    user = User(ANNA, space_id=SPACE, next_chat_index=2)
    chat = ChatSummary(ROOM, "C1", "Secret plans", "default", archived=False, state="bound")
    for event in (
        OnboardingRequested(ReplyTarget(ENTRY)),
        OnboardingRequested(ReplyTarget(ENTRY, CALLED)),
        ChatListRequested(ReplyTarget(ENTRY, CALLED)),
    ):
        scenario = UserScenario(user)
        scenario.actor = replace(scenario.actor, chats=(chat,))
        (tell,) = [tell for tell in scenario.handle(event).tells if tell.actor == ENTRY]
        assert "Secret plans" in tell.event.text
        assert "Secret plans" not in tell.event.shared_text
        assert "matrix.to" not in tell.event.shared_text

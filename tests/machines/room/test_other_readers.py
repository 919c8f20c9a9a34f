"""An entry room with other members: nothing private is shown, and only addressed messages are answered (O5)."""

import re
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
from machines.ids import EventId, UserId
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
    STRANGER,
    RoomScenario,
    StepResult,
    UserScenario,
    entry_room,
)

ADDRESSED = EventId("$addressed")


def shared_room(others: int | None = 2) -> RoomScenario:
    return RoomScenario(entry_room(others=others))


def addresses_bot(scenario: RoomScenario, **changes: Any) -> StepResult:
    """Let Anna mention the bot, or reply to it."""
    message = MessageArrived(ENTRY, ADDRESSED, ANNA, "hello, bot", 0, addressed=True)
    return scenario.handle(replace(message, **changes), stored=True)


@pytest.mark.parametrize("sender", [ANNA, BERT])
def test_a_message_that_is_not_addressed_to_the_bot_is_not_answered(sender):
    result = shared_room().user_writes("hello", sender=sender)
    assert len(result.effects) == len(result.acked) == 1


def test_files_and_malformed_messages_are_not_answered():
    scenario = shared_room()
    file = FileArrived(ENTRY, EventId("$file"), ANNA, "a.pdf", 0)
    assert len(scenario.handle(file, stored=True).effects) == 1
    assert len(scenario.handle(MalformedArrived(ENTRY, ADDRESSED, ANNA), stored=True).effects) == 1


def test_an_addressed_message_is_passed_to_the_users_actor():
    (tell,) = addresses_bot(shared_room()).tells
    assert tell == Tell(ANNA, OnboardingRequested(ReplyTarget(ENTRY, ADDRESSED)))


def test_alone_with_one_user_the_bot_answers_plain_text():
    assert len(shared_room(1).user_writes("hello").tells) == 1


@pytest.mark.parametrize(
    "body", ["!chats", "!settings", "!skills", "!safety", "!soul", "!agent", "!SETTINGS"]
)
def test_commands_that_show_what_is_somebodys_own_show_nothing_there(body):
    result = shared_room().user_writes(body)
    assert result.texts == [CATALOG.not_in_shared_room(body[1:].lower())]
    assert result.messages[0].answers == "$1"
    assert (
        CATALOG.not_in_shared_room(body[1:].lower()) not in shared_room(1).user_writes(body).texts
    )


@pytest.mark.parametrize("body", ["!nonsense", "!language", "!skill off files", "!soul Be brief."])
def test_other_commands_work(body):
    assert shared_room().user_writes(body).texts == shared_room(1).user_writes(body).texts != []


@pytest.mark.parametrize("name", ["rename", "archive", "load", "yes"])
def test_a_command_of_a_chat_is_refused_without_a_hint_at_one_that_does_not_work_there(name):
    assert shared_room().user_writes(f"!{name}").texts == [CATALOG.not_in_shared_room(name)]
    assert shared_room(1).user_writes(f"!{name}").texts == [CATALOG.only_in_chat(name)]


def test_help_names_only_the_commands_that_work_there():
    (page,) = shared_room().user_writes("!help").texts
    assert named(page) == {"help", "new", "skill", "language"}


def named(page: str) -> set[str]:
    return set(re.findall(r"^- `!(\w+)", page, re.MULTILINE))


def ready(text: str = "Chat 1 is at a link") -> AnswerReady:
    return AnswerReady(ReplyTarget(ENTRY, ADDRESSED), text, "nothing is named")


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (0, "Chat 1 is at a link"),
        (1, "Chat 1 is at a link"),
        (2, "nothing is named"),
        (None, "nothing is named"),
    ],
)
def test_the_answer_of_a_users_actor_depends_on_the_number_of_readers(others, text):
    result = shared_room(others).handle(ready(), stored=True)
    (send,) = result.of(Enqueue)
    assert (result.texts, send.order.answers, send.order.notice) == ([text], ADDRESSED, True)


def test_the_answer_to_an_invitation_answers_no_message():
    pointer = AnswerReady(ReplyTarget(ENTRY), "a link", "nothing is named")
    (message,) = shared_room(1).handle(pointer, stored=True).messages
    assert (message.body, message.answers, message.notice) == ("a link", None, True)


def test_the_answer_to_an_invitation_shows_nothing_private_after_the_inviter_left():
    scenario = shared_room()
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    pointer = AnswerReady(ReplyTarget(ENTRY), "a link", "nothing is named")
    assert scenario.handle(pointer, stored=True).texts == ["nothing is named"]


def test_in_a_chat_the_full_answer_is_sent():
    result = RoomScenario().handle(
        AnswerReady(ReplyTarget(ROOM, ADDRESSED), "a link", "nothing is named"), stored=True
    )
    assert result.texts == ["a link"]


def test_a_member_who_joined_counts_before_the_answer():
    scenario = shared_room(1)
    assert scenario.user_writes("!new Garden").tells
    scenario.handle(MembersCounted(ENTRY, 2), stored=True)
    assert scenario.handle(ready(), stored=True).texts == ["nothing is named"]
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    assert scenario.handle(ready(), stored=True).texts == ["Chat 1 is at a link"]


def confirmed(others: int | None, binding: Binding | None = None) -> TopologyConfirmed:
    return TopologyConfirmed(binding or Binding("entry", ANNA), "", False, False, others)


def test_unknown_members_are_read_before_any_answer():
    scenario = shared_room(1)
    scenario.handle(MembersCounted(ENTRY, None), stored=True)
    result = scenario.user_writes("hello")
    assert result.of(Reconcile) == [Reconcile()]
    assert result.acked == []
    assert scenario.actor.due_at() is None, "it waits for the repair only"
    assert scenario.user_writes("!chats").effects == ()
    result = scenario.handle(confirmed(1))
    assert [type(tell.event) for tell in result.tells] == [
        OnboardingRequested,
        ChatListRequested,
    ]
    assert scenario.actor.room.others == 1
    assert scenario.user_writes("hello").of(Reconcile) == []


@pytest.mark.parametrize("others", [2, None])
def test_members_that_a_repair_cannot_read_count_as_readers(others):
    scenario = shared_room(None)
    scenario.user_writes("hello")
    result = scenario.handle(confirmed(others))
    assert (len(result.acked), result.tells) == (1, [])
    assert scenario.actor.room.has_other_readers


def test_a_late_repair_result_changes_nothing_in_a_bound_chat():
    scenario = RoomScenario()
    scenario.user_writes("hello")
    before = scenario.actor
    assert scenario.handle(confirmed(3, CHAT_BINDING)).effects == ()
    assert scenario.actor == before


def test_members_of_a_chat_are_not_counted_and_a_member_change_is_no_count():
    scenario = RoomScenario()
    scenario.handle(MembersCounted(ROOM, 5), stored=True)
    assert not scenario.actor.room.has_other_readers
    entry = shared_room(1)
    entry.handle(MemberChanged(ENTRY, EventId("$m"), BERT, "leave"), stored=True)
    assert entry.actor.room.others == 1


def test_a_repair_stores_the_number_of_members():
    scenario = RoomScenario(entry_room(state="reconciling", others=None))
    scenario.handle(confirmed(4))
    assert (scenario.actor.room.state, scenario.actor.room.others) == ("bound", 4)


def test_the_shared_text_of_a_users_actor_has_no_chat_name_and_no_link():
    user = User(ANNA, space_id=SPACE, next_chat_index=2)
    chat = ChatSummary(ROOM, "C1", "Secret plans", "default", archived=False, state="bound")
    for event in (
        OnboardingRequested(ReplyTarget(ENTRY)),
        OnboardingRequested(ReplyTarget(ENTRY, ADDRESSED)),
        ChatListRequested(ReplyTarget(ENTRY, ADDRESSED)),
    ):
        scenario = UserScenario(user)
        scenario.actor = replace(scenario.actor, chats=(chat,))
        (tell,) = [tell for tell in scenario.handle(event).tells if tell.actor == ENTRY]
        assert "Secret plans" in tell.event.text
        assert "Secret plans" not in tell.event.shared_text
        assert "matrix.to" not in tell.event.shared_text


@pytest.mark.parametrize("body", ["!chats", "!settings", "!open 1"])
def test_a_user_who_wrote_and_left_gets_no_private_answer_in_front_of_the_one_who_stayed(body):
    scenario = shared_room()
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    assert scenario.handle(replace(ready(), user_id=ANNA), stored=True).texts == [
        "nothing is named"
    ]
    command = body[1:].partition(" ")[0]
    scenario.seq -= 3  # it was written before
    assert scenario.user_writes(body).texts == [CATALOG.not_in_shared_room(command)]
    scenario.seq += 3
    assert scenario.handle(replace(ready(), user_id=BERT), stored=True).texts == [ready().text]
    scenario.handle(MemberChanged(ENTRY, EventId("$n"), ANNA, "join"), stored=True)
    assert scenario.handle(replace(ready(), user_id=ANNA), stored=True).texts == [ready().text]


def restarted(scenario: RoomScenario) -> RoomScenario:
    """The same room after a restart: the actor has only what its row stores."""
    after = RoomScenario(scenario.actor.room)
    after.seq = scenario.seq
    return after


def test_a_restart_does_not_forget_who_left():
    scenario = shared_room()
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    scenario.handle(MembersCounted(ENTRY, 1), stored=True)
    scenario = restarted(scenario)
    assert scenario.handle(replace(ready(), user_id=ANNA), stored=True).texts == [
        "nothing is named"
    ]
    assert scenario.user_writes("!chats", sender=BERT).tells != []


def test_who_left_before_the_room_was_bound_gets_no_private_answer():
    scenario = RoomScenario(entry_room(state="reconciling", binding=None, others=None))
    scenario.user_writes("!chats")
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    result = scenario.handle(confirmed(1, Binding("entry", BERT)))
    assert result.texts == [CATALOG.not_in_shared_room("chats")]


def test_who_writes_after_leaving_is_back():
    scenario = shared_room(1)
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    assert [type(tell.event) for tell in scenario.user_writes("!chats").tells] == [
        ChatListRequested
    ]


def test_a_message_from_before_the_departure_does_not_bring_its_author_back():
    scenario = shared_room(1)
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), ANNA, "leave"), stored=True)
    scenario.seq -= 2
    assert scenario.user_writes("!chats").texts == [CATALOG.not_in_shared_room("chats")]


def test_only_users_who_may_talk_to_the_bot_are_stored_as_departed():
    scenario = shared_room()
    scenario.handle(MemberChanged(ENTRY, EventId("$m"), STRANGER, "leave"), stored=True)
    assert scenario.actor.room.chat_context.departed == {}
    for number in range(150):
        user = UserId(f"@user{number}:example.org")
        scenario.handle(MemberChanged(ENTRY, EventId(f"${number}"), user, "leave"), stored=True)
    assert list(scenario.actor.room.chat_context.departed)[-1] == user
    assert len(scenario.actor.room.chat_context.departed) == 100

"""A chat answers its owner only: one reply to each message, in order."""

import pytest
from msgspec.structs import replace

from machines.errors import IllegalEvent
from machines.events.effects import (
    Ack,
    CallAgent,
    CancelCall,
    Log,
    MarkRead,
    ShowTyping,
)
from machines.events.internal import (
    AgentDone,
    AgentOutput,
    AttemptFailed,
    OnboardingRequested,
    OrderDone,
    ReplyTarget,
    Resumed,
    RoomMade,
)
from machines.events.matrix import (
    BotRemoved,
    EncryptedArrived,
    EncryptionEnabled,
    FileArrived,
    MalformedArrived,
    MemberChanged,
)
from machines.events.orders import Joined, Refused
from machines.ids import EventId
from machines.room.actor import effects_of_refusal
from machines.turn.answer_text import AnswerText
from machines.turn.state import NO_ATTEMPT
from tests.machines.support import (
    ANNA,
    BERT,
    BOT,
    CATALOG,
    CHAT_BINDING,
    ENTRY,
    ROOM,
    STRANGER,
    RoomScenario,
    chat_room,
    entry_room,
)


def a_file(event_id: str = "$file") -> FileArrived:
    return FileArrived(ROOM, EventId(event_id), ANNA, "notes.txt", 0)


# -- a message and its reply -----------------------------------------------------------------------


def test_a_message_of_the_owner_is_sent_to_the_agent_with_its_event_id():
    scenario = RoomScenario()
    result = scenario.user_writes("What is it?")
    request = result.only_call.request

    assert result.acked == [1]
    assert (request.message_id, request.text) == ("$1", "What is it?")
    assert (request.agent_id, request.platform_chat_id) == ("default", "7")
    assert result.of(MarkRead) == [MarkRead(EventId("$1"))]
    assert result.of(ShowTyping) == [ShowTyping(True)]


def test_the_reply_answers_the_message_in_its_thread():
    scenario = RoomScenario()
    scenario.user_writes("What is it?", thread_root=EventId("$root"))
    (reply,) = scenario.agent_done("A bot.").messages

    assert (reply.body, reply.answers, reply.thread_root) == ("A bot.", "$1", "$root")
    assert (reply.notice, reply.partial, reply.part) == (False, False, None)
    assert scenario.actor.turn is None


def test_messages_are_answered_one_at_a_time_in_their_order():
    scenario = RoomScenario()
    scenario.user_writes("one")
    assert [
        result.effects for result in (scenario.user_writes("two"), scenario.user_writes("three"))
    ] == [(), ()]

    second = scenario.agent_done("1")
    assert second.only_call.request.text == "two"
    assert second.acked == [2]
    assert scenario.agent_done("2").only_call.request.text == "three"
    assert scenario.agent_done("3").of(CallAgent) == []


def test_an_empty_answer_says_that_it_is_empty():
    for text in ("", " \n"):
        scenario = RoomScenario()
        scenario.user_writes("hello")
        assert scenario.agent_done(text).texts == [CATALOG.empty_answer()]


@pytest.mark.parametrize("sender", [BERT, STRANGER, BOT])
def test_a_message_of_another_user_in_a_chat_is_ignored(sender):
    result = RoomScenario().user_writes("let me in", sender)
    assert result.effects == (Ack(1),)


def test_an_owner_who_is_no_longer_allowed_gets_no_answer():
    scenario = RoomScenario(context_options={"allowed": (BERT,)})
    assert scenario.user_writes("hello").acked == [1]
    assert scenario.user_writes("hello").effects == (Ack(2),)


def test_a_waiting_message_is_ignored_if_its_sender_is_no_longer_allowed():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.user_writes("two")
    scenario.context_options = {"allowed": (BERT,)}
    result = scenario.agent_done("1")
    assert result.acked == [2]
    assert result.of(CallAgent) == []


def test_a_message_in_a_space_is_ignored():
    space = chat_room(binding=replace(CHAT_BINDING, room_type="space", chat_id=None))
    assert RoomScenario(space).user_writes("hello").effects == (Ack(1),)


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_request_of_an_invitation_says_whether_its_room_is_encrypted(encrypted):
    room = entry_room(encrypted=encrypted, onboarding_user=ANNA)
    (tell,) = RoomScenario(room).order_done("$join", Joined(ENTRY, encrypted)).tells
    assert tell.event.reply_to == ReplyTarget(ENTRY, encrypted=encrypted)


def test_plain_text_in_an_entry_room_requests_onboarding_and_calls_no_agent():
    result = RoomScenario(entry_room()).user_writes("hello", BERT)
    assert result.of(CallAgent) == []
    ((tell,), (acked,)) = result.tells, result.acked
    assert (tell.actor, acked) == (BERT, 1)
    assert isinstance(tell.event, OnboardingRequested)
    assert (tell.event.reply_to.room_id, tell.event.reply_to.event_id) == (ENTRY, "$1")


def test_a_message_in_an_archived_chat_is_answered_with_a_notice():
    result = RoomScenario(chat_room(binding=replace(CHAT_BINDING, archived=True))).user_writes(
        "hello"
    )
    assert result.texts == [CATALOG.chat_is_archived(1)]
    assert result.messages[0].answers == "$1"
    assert result.messages[0].notice
    assert result.of(CallAgent) == []


@pytest.mark.parametrize("agent_id", [None, "gone"])
def test_a_message_in_a_chat_with_an_unknown_agent_is_answered_with_a_notice(agent_id):
    result = RoomScenario(chat_room(binding=replace(CHAT_BINDING, agent_id=agent_id))).user_writes(
        "hello"
    )
    assert result.texts == [CATALOG.stale_agent(agent_id or "")]
    assert result.messages[0].answers == "$1"
    assert result.of(CallAgent) == []


def test_a_file_waits_in_order_and_is_answered_with_a_notice():
    scenario = RoomScenario()
    scenario.user_writes("one")
    assert scenario.handle(a_file(), stored=True).effects == ()
    result = scenario.agent_done("1")
    assert [(m.answers, m.notice) for m in result.messages if m.notice] == [("$file", True)]
    assert scenario.actor.turn is None


def test_a_malformed_message_is_answered_with_a_notice_in_order():
    scenario = RoomScenario()
    scenario.user_writes("first")
    bad = MalformedArrived(ROOM, EventId("$bad"), ANNA)
    assert scenario.handle(bad, stored=True).effects == ()
    result = scenario.agent_done("done")
    notice = result.messages[-1]
    assert (notice.body, notice.notice, notice.answers) == (CATALOG.message_failed(), True, "$bad")
    stranger = scenario.handle(MalformedArrived(ROOM, EventId("$other"), BERT), stored=True)
    assert stranger.orders == []


def test_an_encrypted_message_is_dead_lettered():
    event = EncryptedArrived(ROOM, EventId("$secret"), ANNA, {}, 0)
    scenario = RoomScenario()
    result = scenario.handle(event, stored=True)
    assert (result.dead_lettered, result.acked) == ([1], [])


def test_every_inbox_row_is_acknowledged_or_dead_lettered_once():
    scenario = RoomScenario()
    for body in ("one", "two", "!help", "!nothing", "three"):
        scenario.user_writes(body)
    scenario.user_writes("spam", STRANGER)
    scenario.handle(MemberChanged(ROOM, EventId("$m"), ANNA, "leave"), stored=True)
    scenario.handle(EncryptionEnabled(ROOM, None), stored=True)
    scenario.handle(EncryptedArrived(ROOM, EventId("$e"), ANNA, {}, 0), stored=True)
    scenario.handle(a_file(), stored=True)
    while scenario.actor.turn is not None:
        scenario.agent_done("an answer")
    ended = [effect.seq for effect in scenario.effects if hasattr(effect, "seq")]
    assert sorted(ended) == list(range(1, scenario.seq + 1))


# -- other events -----------------------------------------------------------------------------------


def test_a_membership_change_of_the_owner_changes_owner_present_only():
    scenario = RoomScenario()
    for membership, present in (("leave", False), ("join", True), ("ban", False)):
        result = scenario.handle(MemberChanged(ROOM, EventId("$m"), ANNA, membership), stored=True)
        assert result.effects == (Ack(scenario.seq),)
        assert scenario.actor.room.owner_present is present
    scenario.handle(MemberChanged(ROOM, EventId("$m"), BERT, "join"), stored=True)
    assert scenario.actor.room.owner_present is False


def test_encryption_is_stored():
    scenario = RoomScenario()
    scenario.handle(EncryptionEnabled(ROOM, None), stored=True)
    assert scenario.actor.room.encrypted


def test_a_removal_of_the_bot_cancels_the_call_and_keeps_the_binding():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_output("so far")
    result = scenario.handle(BotRemoved(ROOM, EventId("$x"), ANNA, "kicked"), stored=True)

    assert result.of(CancelCall) == [CancelCall()]
    assert result.messages == []
    room = scenario.actor.room
    assert (room.state, room.reason, room.binding) == ("unregistered", "kicked", CHAT_BINDING)
    assert (scenario.actor.turn, scenario.actor.attempt) == (None, NO_ATTEMPT)


def test_a_refused_event_changes_nothing_and_its_row_is_acknowledged():
    scenario = RoomScenario()
    before = scenario.actor
    made = RoomMade(CHAT_BINDING, "")
    with pytest.raises(IllegalEvent) as error:
        scenario.handle(made, stored=True)
    assert scenario.actor == before

    log, ack = effects_of_refusal(ROOM, error.value, 1)
    assert isinstance(log, Log)
    assert log.fields["room_id"] == ROOM
    assert ack == Ack(1)
    assert effects_of_refusal(ROOM, error.value, 0) == (log,)


def test_an_event_for_another_kind_of_actor_raises():
    with pytest.raises(AssertionError, match="unreachable"):
        RoomScenario().handle(object())


# -- output of an earlier attempt --------------------------------------------------------------------


@pytest.mark.parametrize(
    "late",
    [
        AgentOutput(EventId("$1"), 2, AnswerText("old")),
        AgentDone(EventId("$1"), 2, "old", 1),
        AttemptFailed(EventId("$1"), 2, "silent", "old", retryable=True),
        AgentDone(EventId("$0"), 1, "of another turn", 1),
    ],
    ids=lambda late: f"{type(late).__name__} {late.turn_id}/{late.attempt}",
)
def test_events_of_another_attempt_or_turn_are_ignored(late):
    scenario = RoomScenario()
    scenario.user_writes("one")
    before = scenario.actor
    assert scenario.handle(late).effects == ()
    assert scenario.actor == before


def test_events_after_the_end_are_ignored():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_done("1")
    assert scenario.handle(AgentDone(EventId("$1"), 1, "again", 1)).effects == ()


# -- refused by the homeserver -----------------------------------------------------------------------


def test_an_answer_that_the_homeserver_refuses_is_replaced_by_a_notice():
    refusal = Refused("too_large", "M_TOO_LARGE", "event too large")
    result = RoomScenario().order_done("$1.1", refusal, EventId("$1"))
    assert result.texts == [CATALOG.answer_refused_by_server()]
    assert (result.messages[0].answers, result.messages[0].notice) == (
        "$1",
        True,
    )
    assert result.acked == [1]


def test_a_refusal_of_that_notice_sends_no_further_notice():
    scenario = RoomScenario()
    refusal = Refused("forbidden", "M_FORBIDDEN", "no")
    (send,) = [
        each
        for each in scenario.order_done("$1.1", refusal, EventId("$1")).effects
        if not isinstance(each, Ack)
    ]
    again = scenario.handle(OrderDone(send.txn_id, refusal, EventId("$1")), stored=True)
    assert again.effects == (Ack(2),)


@pytest.mark.parametrize(
    ("txn_id", "kind", "answers"),
    [
        ("$1.1", "encrypted", EventId("$1")),
        ("!chat.recovery.1000000", "forbidden", None),
        ("!chat.binding.1000000", "forbidden", None),
    ],
)
def test_other_refusals_have_no_effect(txn_id, kind, answers):
    result = RoomScenario().order_done(txn_id, Refused(kind, "M_FORBIDDEN", "no"), answers)
    assert result.effects == (Ack(1),)


# -- a restart --------------------------------------------------------------------------------------


def test_a_restart_calls_the_agent_again_with_the_same_message_id_and_new_retry_time():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_output("Half of")
    scenario.now += 500
    result = scenario.handle(Resumed())

    assert result.only_call.request.message_id == "$1"
    assert result.only_call.attempt == 2
    assert scenario.actor.turn is not None
    assert scenario.actor.turn.gives_up_at == scenario.now + 120.0


def test_a_restart_of_an_idle_room_does_nothing():
    assert RoomScenario().handle(Resumed()).effects == ()

"""A chat answers its owner: one reply to each message, in order, and to nobody else."""

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
from machines.events.orders import Refused
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
    RoomStory,
    chat_room,
    entry_room,
)


def a_file(event_id: str = "$file") -> FileArrived:
    return FileArrived(ROOM, EventId(event_id), ANNA, "notes.txt", 0)


# -- a message and its reply -----------------------------------------------------------------------


def test_a_message_of_the_owner_is_asked_under_its_own_id():
    story = RoomStory()
    result = story.hears("What is it?")
    request = result.only_ask.request

    assert result.consumed == [1]
    assert (request.message_id, request.text) == ("$1", "What is it?")
    assert (request.agent_id, request.platform_chat_id) == ("default", "7")
    assert result.of(MarkRead) == [MarkRead(EventId("$1"))]
    assert result.of(ShowTyping) == [ShowTyping(True)]


def test_the_reply_answers_the_message_in_its_thread():
    story = RoomStory()
    story.hears("What is it?", thread_root=EventId("$root"))
    (reply,) = story.ends("A bot.").messages

    assert (reply.body, reply.answers, reply.thread_root) == ("A bot.", "$1", "$root")
    assert (reply.notice, reply.partial, reply.part) == (False, False, None)
    assert story.it.turn is None


def test_messages_are_answered_one_at_a_time_in_their_order():
    story = RoomStory()
    story.hears("one")
    assert [result.effects for result in (story.hears("two"), story.hears("three"))] == [(), ()]

    second = story.ends("1")
    assert second.only_ask.request.text == "two"
    assert second.consumed == [2]
    assert story.ends("2").only_ask.request.text == "three"
    assert story.ends("3").of(CallAgent) == []


def test_an_empty_answer_says_that_it_is_empty():
    for text in ("", " \n"):
        story = RoomStory()
        story.hears("hello")
        assert story.ends(text).said == [CATALOG.empty_answer()]


@pytest.mark.parametrize("sender", [BERT, STRANGER, BOT])
def test_a_message_of_anybody_else_in_a_chat_is_dropped(sender):
    result = RoomStory().hears("let me in", sender)
    assert result.effects == (Ack(1),)


def test_a_user_who_may_no_longer_talk_is_not_answered_even_in_his_own_chat():
    story = RoomStory(world_options={"allowed": (BERT,)})
    assert story.hears("hello").effects == (Ack(1),)


def test_a_message_that_waited_is_dropped_when_its_sender_no_longer_counts():
    story = RoomStory()
    story.hears("one")
    story.hears("two")
    story.world_options = {"allowed": (BERT,)}
    result = story.ends("1")
    assert result.consumed == [2]
    assert result.of(CallAgent) == []


def test_a_message_in_a_space_is_dropped():
    space = chat_room(binding=replace(CHAT_BINDING, room_type="space", chat_id=None))
    assert RoomStory(space).hears("hello").effects == (Ack(1),)


def test_plain_text_in_an_entry_room_never_reaches_an_agent_and_points_to_the_chats():
    result = RoomStory(entry_room()).hears("hello", BERT)
    assert result.of(CallAgent) == []
    ((tell,), (consumed,)) = result.tells, result.consumed
    assert (tell.actor, consumed) == (BERT, 1)
    assert isinstance(tell.event, OnboardingRequested)
    assert (tell.event.reply_to.room_id, tell.event.reply_to.event_id) == (ENTRY, "$1")


def test_an_archived_chat_says_so_instead_of_answering():
    result = RoomStory(chat_room(binding=replace(CHAT_BINDING, archived=True))).hears("hello")
    assert result.said == [CATALOG.chat_is_archived()]
    assert result.messages[0].answers == "$1"
    assert result.messages[0].notice
    assert result.of(CallAgent) == []


@pytest.mark.parametrize("agent_id", [None, "gone"])
def test_a_chat_whose_agent_is_not_there_is_stale_and_says_so(agent_id):
    result = RoomStory(chat_room(binding=replace(CHAT_BINDING, agent_id=agent_id))).hears("hello")
    assert result.said == [CATALOG.stale_agent(agent_id or "")]
    assert result.messages[0].answers == "$1"
    assert result.of(CallAgent) == []


def test_a_file_waits_its_turn_and_is_answered_with_a_notice():
    story = RoomStory()
    story.hears("one")
    assert story.handle(a_file(), stored=True).effects == ()
    result = story.ends("1")
    assert [(m.answers, m.notice) for m in result.messages if m.notice] == [("$file", True)]
    assert story.it.turn is None


def test_a_message_that_can_not_be_read_is_said_to_be_so_in_its_place():
    story = RoomStory()
    story.hears("first")
    bad = MalformedArrived(ROOM, EventId("$bad"), ANNA)
    assert story.handle(bad, stored=True).effects == ()
    result = story.ends("done")
    notice = result.messages[-1]
    assert (notice.body, notice.notice, notice.answers) == (CATALOG.message_failed(), True, "$bad")
    stranger = story.handle(MalformedArrived(ROOM, EventId("$other"), BERT), stored=True)
    assert stranger.orders == []


def test_an_encrypted_message_is_set_aside_with_its_reason():
    event = EncryptedArrived(ROOM, EventId("$secret"), ANNA, {}, 0)
    story = RoomStory()
    result = story.handle(event, stored=True)
    assert (result.set_aside, result.consumed) == ([1], [])


def test_every_inbox_row_ends_exactly_once():
    story = RoomStory()
    for body in ("one", "two", "!help", "!nothing", "three"):
        story.hears(body)
    story.hears("spam", STRANGER)
    story.handle(MemberChanged(ROOM, EventId("$m"), ANNA, "leave"), stored=True)
    story.handle(EncryptionEnabled(ROOM, None), stored=True)
    story.handle(EncryptedArrived(ROOM, EventId("$e"), ANNA, {}, 0), stored=True)
    story.handle(a_file(), stored=True)
    while story.it.turn is not None:
        story.ends("an answer")
    ended = [effect.seq for effect in story.all if hasattr(effect, "seq")]
    assert sorted(ended) == list(range(1, story.seq + 1))


# -- other facts -----------------------------------------------------------------------------------


def test_the_owners_coming_and_going_is_noted_and_nothing_else():
    story = RoomStory()
    for membership, present in (("leave", False), ("join", True), ("ban", False)):
        result = story.handle(MemberChanged(ROOM, EventId("$m"), ANNA, membership), stored=True)
        assert result.effects == (Ack(story.seq),)
        assert story.it.room.owner_present is present
    story.handle(MemberChanged(ROOM, EventId("$m"), BERT, "join"), stored=True)
    assert story.it.room.owner_present is False


def test_encryption_is_noted():
    story = RoomStory()
    story.handle(EncryptionEnabled(ROOM, None), stored=True)
    assert story.it.room.encrypted


def test_the_bot_removed_cancels_the_call_and_keeps_the_binding():
    story = RoomStory()
    story.hears("one")
    story.grows("so far")
    result = story.handle(BotRemoved(ROOM, EventId("$x"), ANNA, "kicked"), stored=True)

    assert result.of(CancelCall) == [CancelCall()]
    assert result.messages == []
    room = story.it.room
    assert (room.state, room.reason, room.binding) == ("unregistered", "kicked", CHAT_BINDING)
    assert (story.it.turn, story.it.attempt) == (None, NO_ATTEMPT)


def test_an_event_that_the_room_refuses_changes_nothing_and_its_row_is_finished():
    story = RoomStory()
    before = story.it
    made = RoomMade(CHAT_BINDING, "")
    with pytest.raises(IllegalEvent) as error:
        story.handle(made, stored=True)
    assert story.it == before

    log, consume = effects_of_refusal(error.value, 1)
    assert isinstance(log, Log)
    assert consume == Ack(1)
    assert effects_of_refusal(error.value, 0) == (log,)


def test_an_event_of_another_kind_of_actor_is_a_fault_of_ours():
    with pytest.raises(AssertionError, match="unreachable"):
        RoomStory().handle(object())


# -- words of an agent that nobody waits for --------------------------------------------------------


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
    story = RoomStory()
    story.hears("one")
    before = story.it
    assert story.handle(late).effects == ()
    assert story.it == before


def test_events_after_the_end_are_ignored():
    story = RoomStory()
    story.hears("one")
    story.ends("1")
    assert story.handle(AgentDone(EventId("$1"), 1, "again", 1)).effects == ()


# -- refused by the homeserver -----------------------------------------------------------------------


def test_an_answer_that_the_homeserver_refuses_gets_a_notice_in_its_place():
    refusal = Refused("too_large", "M_TOO_LARGE", "event too large")
    result = RoomStory().outcome("$1.1", refusal, EventId("$1"))
    assert result.said == [CATALOG.answer_refused_by_server()]
    assert (result.messages[0].answers, result.messages[0].notice) == (
        "$1",
        True,
    )
    assert result.consumed == [1]


def test_the_notice_about_a_refusal_is_not_followed_by_another():
    story = RoomStory()
    refusal = Refused("forbidden", "M_FORBIDDEN", "no")
    (send,) = [
        each
        for each in story.outcome("$1.1", refusal, EventId("$1")).effects
        if not isinstance(each, Ack)
    ]
    again = story.handle(OrderDone(send.txn_id, refusal, EventId("$1")), stored=True)
    assert again.effects == (Ack(2),)


@pytest.mark.parametrize(
    ("txn_id", "kind", "answers"),
    [
        ("$1.1", "encrypted", EventId("$1")),
        ("!chat.recovery.1000000", "forbidden", None),
        ("!chat.binding.1000000", "forbidden", None),
    ],
)
def test_other_refusals_are_taken_in_silence(txn_id, kind, answers):
    result = RoomStory().outcome(txn_id, Refused(kind, "M_FORBIDDEN", "no"), answers)
    assert result.effects == (Ack(1),)


# -- a restart --------------------------------------------------------------------------------------


def test_a_restart_asks_again_under_the_same_message_id_with_new_time_for_retries():
    story = RoomStory()
    story.hears("one")
    story.grows("Half of")
    story.now += 500
    result = story.handle(Resumed())

    assert result.only_ask.request.message_id == "$1"
    assert result.only_ask.attempt == 2
    assert story.it.turn is not None
    assert story.it.turn.gives_up_at == story.now + 120.0


def test_a_restart_of_a_room_at_rest_does_nothing():
    assert RoomStory().handle(Resumed()).effects == ()

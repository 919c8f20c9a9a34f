"""The state of a chat between messages: settings, saves, an open list, an open question (K4–K9)."""

import pytest
from msgspec.structs import replace

from machines.events.agent import ConfirmationAnswer, ContextOrder
from machines.events.effects import CallAgent, ReservePlatformChatId, SavePreferences
from machines.events.internal import AgentDone, Confirmation, Resumed, TopologyConfirmed
from machines.events.matrix import QuestionShown
from machines.events.orders import StoreBinding
from machines.ids import EventId, RoomId
from machines.room.answers import MAX_TOKENS
from machines.room.chat_context import QUESTION_KEPT_S, ChatContext, Question
from machines.turn.endings import FILE_NAME_CHARS
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    CHAT_BINDING,
    ROOM,
    RoomStory,
    chat_room,
    entry_room,
)

QUESTION = Confirmation("q1", "Send the mail?", "To all of them.")


def asked_to_confirm() -> RoomStory:
    story = RoomStory()
    story.hears("send it")
    result = story.ends("I could.", QUESTION)
    assert "Send the mail?" in result.said[0]
    assert "!yes" in result.said[0]
    story.shows_question()
    return story


def with_saves(*names: str) -> RoomStory:
    story = RoomStory()
    for name in names:
        story.hears(f"!save {name}")
        story.ends("kept")
    return story


# -- settings ----------------------------------------------------------------------------------------


def test_the_next_request_contains_the_settings_that_differ_from_the_defaults():
    story = RoomStory()
    assert story.hears("one").only_ask.request.settings == {}
    story.ends("1")
    story.hears("!skill on browser")
    story.hears("!skill off files")
    story.hears("!skill on web-search")
    story.hears("!safety off email-send")
    story.hears("!soul Be brief.")
    assert story.hears("two").only_ask.request.settings == {
        "soul": "Be brief.",
        "skills": {"browser": True, "files": False},
        "safety": {"email-send": False},
    }


def test_a_switch_waits_for_the_messages_before_it():
    story = RoomStory()
    story.hears("one")
    story.hears("two")
    assert story.hears("!skill off files").effects == ()
    story.hears("three")
    assert story.ends("1").only_ask.request.settings == {}
    assert story.ends("2").only_ask.request.settings == {"skills": {"files": False}}


def test_two_clears_that_waited_together_reserve_two_contexts():
    story = RoomStory(chat_room(state="reconciling"))
    story.hears("!clear")
    story.hears("!clear")
    found = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)
    taken = story.handle(found).of(ReservePlatformChatId)
    assert [each.platform_chat_id for each in taken] == ["7", "8", "9"]


@pytest.mark.parametrize("body", ["!settings", "!skills", "!safety", "!soul", "!agent", "!context"])
def test_pages_change_nothing_and_do_not_wait(body):
    story = RoomStory()
    story.hears("one")
    room = story.it.room
    result = story.hears(body)
    assert len(result.messages) == 1
    assert result.of(SavePreferences) == []
    assert story.it.room == room


@pytest.mark.parametrize(
    "body",
    [
        "!skill",
        "!skill on",
        "!skill maybe files",
        "!skill on files please",
        "!skill on nothing",
        "!safety on",
        "!safety off nothing",
        "!agent nobody",
        "!agent 0",
        "!agent 2",
    ],
)
def test_an_invalid_argument_changes_nothing_and_is_answered(body):
    result = RoomStory().hears(body)
    assert len(result.messages) == 1
    assert result.of(SavePreferences) == []


def test_the_soul_can_be_removed():
    story = RoomStory()
    story.hears("!soul Be brief.")
    story.hears("!soul none")
    assert story.hears("one").only_ask.request.settings == {}


# -- agents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["2", "writer"])
def test_selecting_an_agent_never_moves_a_bound_chat(argument):
    story = RoomStory(world_options={"agents": ("default", "writer")})
    result = story.hears(f"!agent {argument}")
    assert story.chosen[ANNA].agent_id == "writer"
    assert story.it.room.binding == CHAT_BINDING
    assert not any(isinstance(order, StoreBinding) for order in result.orders)
    assert story.hears("one").only_ask.request.agent_id == "default"


def test_selecting_an_agent_binds_a_chat_that_has_none():
    room = chat_room(binding=replace(CHAT_BINDING, agent_id=None))
    story = RoomStory(room, world_options={"agents": ("default", "writer")})
    result = story.hears("!agent writer")
    (kept,) = [order for order in result.orders if isinstance(order, StoreBinding)]
    assert kept.content["agent_id"] == "writer"
    assert story.hears("one").only_ask.request.agent_id == "writer"


def test_selecting_an_agent_works_in_an_entry_room():
    story = RoomStory(entry_room(), world_options={"agents": ("default", "writer")})
    assert len(story.hears("!agent writer").messages) == 1
    assert story.chosen[ANNA].agent_id == "writer"


# -- contexts ----------------------------------------------------------------------------------------


def test_save_asks_the_agent_with_a_text_and_a_field_and_answers_with_a_notice():
    story = RoomStory()
    request = story.hears("!save before lunch").only_ask.request
    assert request.context == ContextOrder("save", "before lunch")
    assert "before lunch" in request.text
    assert request.platform_chat_id == "7"
    story.grows("Keeping")
    assert story.later(1).messages == []
    (reply,) = story.ends("Kept.").messages
    assert (reply.notice, reply.answers) == (True, "$1")
    assert story.it.room.chat_context.saves == ("before lunch",)


def test_a_save_that_failed_is_not_listed():
    story = RoomStory()
    story.hears("!save lunch")
    result = story.fails("NO", retryable=False)
    assert result.said == [f"{CATALOG.save_failed('lunch')}\n\n{CATALOG.agent_error('NO')}"]
    assert story.it.room.chat_context.saves == ()


def test_a_save_without_a_name_gets_one():
    story = RoomStory()
    context = story.hears("!save").only_ask.request.context
    assert context is not None
    assert context.name == CATALOG.save_name(1)


def test_a_save_without_a_name_does_not_replace_another():
    story = with_saves(CATALOG.save_name(2))
    context = story.hears("!save").only_ask.request.context
    assert context is not None
    assert context.name == CATALOG.save_name(3)


def test_a_number_picks_from_the_open_list_and_only_then():
    story = with_saves("one", "two")
    assert story.hears("2").only_ask.request.context is None
    story.ends("…")
    story.hears("!load")
    request = story.hears("2").only_ask.request
    assert request.context == ContextOrder("load", "two")
    story.ends("back")
    assert story.it.room.chat_context.context_name == "two"
    assert story.hears("1").only_ask.request.context is None


def test_a_wrong_number_leaves_the_list_open_and_zero_or_cancel_closes_it():
    for leave in ("0", "!cancel"):
        story = with_saves("one")
        story.hears("!load")
        assert story.hears("9").said == [CATALOG.load_invalid(1)]
        assert story.hears(leave).said == [CATALOG.load_left()]
        assert story.hears("1").only_ask.request.context is None


def test_plain_text_while_the_list_is_open_is_an_ordinary_message():
    story = with_saves("one")
    story.hears("!load")
    assert story.hears("what is in it?").only_ask.request.context is None


def test_load_without_saves_is_answered_and_opens_no_list():
    story = RoomStory()
    assert story.hears("!load").said == [CATALOG.load_none()]
    assert story.hears("1").only_ask.request.context is None


def test_context_shows_name_tokens_and_saves_without_the_agent():
    story = with_saves("lunch")
    result = story.hears("!context")
    assert result.of(CallAgent) == []
    assert "lunch" in result.said[0]
    assert "5" in result.said[0]


# -- questions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "accepted"), [("!yes", True), ("!no", False), ("!YES", True)])
def test_a_question_is_answered_once_and_the_reply_is_the_text_of_the_agent(body, accepted):
    story = asked_to_confirm()
    request = story.hears(body).only_ask.request
    assert request.confirmation == ConfirmationAnswer("q1", accepted)
    assert request.text == ("yes" if accepted else "no")
    (reply,) = story.ends("As you wish.").messages
    assert (reply.body, reply.answers) == ("As you wish.", "$2")
    assert story.hears(body).said == [CATALOG.no_open_question()]


def test_plain_yes_is_an_ordinary_message_and_leaves_the_question_open():
    story = asked_to_confirm()
    assert story.hears("yes").only_ask.request.confirmation is None
    story.ends("…")
    assert story.hears("!yes").only_ask.request.confirmation is not None


QUESTION_AGAIN = CATALOG.question_again(QUESTION.title, QUESTION.description)


@pytest.mark.parametrize("body", ["!yes", "!no"])
def test_an_answer_written_during_streaming_does_not_count_for_a_later_question(
    body,
):
    story = RoomStory()
    story.hears("send it")
    story.grows("Type !yes to go on")
    assert story.hears(body).effects == ()
    result = story.ends("I could.", QUESTION)
    assert result.of(CallAgent) == []
    again = result.messages[-1]
    assert (again.body, again.answers, again.notice) == (QUESTION_AGAIN, "$2", True)
    story.shows_question()
    request = story.hears("!yes").only_ask.request
    assert request.confirmation == ConfirmationAnswer("q1", True)


def test_an_answer_does_not_count_until_the_timeline_contains_the_question():
    story = RoomStory()
    story.hears("send it")
    story.ends("I could.", QUESTION)
    result = story.hears("!yes")
    assert (result.of(CallAgent), result.said) == ([], [QUESTION_AGAIN])
    story.shows_question()
    assert story.hears("!yes").only_ask.request.confirmation is not None


def test_an_answer_that_waited_while_the_question_was_shown_counts_as_earlier():
    story = RoomStory()
    story.hears("send it")
    story.hears("something else")
    story.hears("!yes")
    story.ends("I could.", QUESTION)
    story.shows_question()
    result = story.ends("Done.")
    assert (result.of(CallAgent), result.said[-1]) == ([], QUESTION_AGAIN)


def test_an_answer_to_an_older_question_does_not_count_for_the_one_that_replaced_it():
    story = asked_to_confirm()
    story.hears("send another")
    story.hears("!yes")
    result = story.ends("I could.", Confirmation("q1", "Another?", "To nobody."))
    assert result.of(CallAgent) == []
    assert result.said[-1] == CATALOG.question_again("Another?", "To nobody.")


def test_a_question_is_not_marked_as_shown_by_the_event_of_the_question_it_replaced():
    story = RoomStory()
    story.hears("send it")
    first = [m.shows_question for m in story.ends("I could.", QUESTION).messages][-1]
    story.hears("send another")
    story.ends("I could.", QUESTION)
    assert first is not None
    story.handle(QuestionShown(ROOM, EventId("$late"), first), stored=True)
    assert story.hears("!yes").said == [QUESTION_AGAIN]


@pytest.mark.parametrize(
    "body",
    ["!yes but not my notes", "!no thanks", "!yes\nplease", "!yes, but not my notes", "!No."],
)
def test_an_answer_followed_by_text_does_not_count_and_the_question_is_shown_again(body):
    story = asked_to_confirm()
    result = story.hears(body)
    assert (result.of(CallAgent), result.said) == ([], [QUESTION_AGAIN])
    assert result.messages[0].answers == "$2"
    assert story.hears("!yes ").only_ask.request.confirmation is not None
    story.ends("Done.")
    assert story.hears(body).said == [CATALOG.no_open_question()]


def test_the_event_that_shows_a_question_is_the_last_of_its_reply():
    story = RoomStory()
    story.hears("send it")
    story.grows("I could. " * 400)
    story.later(1)
    story.grows("I could. " * 9000)
    result = story.ends("I could. " * 9000, QUESTION)
    assert len(result.messages) > 2
    assert [bool(message.shows_question) for message in result.messages[:-1]] == [False] * (
        len(result.messages) - 1
    )
    assert result.messages[-1].shows_question == "$1"


def test_another_user_or_another_room_cannot_answer_a_question():
    story = asked_to_confirm()
    assert story.hears("!yes", sender=BERT).messages == []
    other = RoomStory(chat_room(room_id=RoomId("!other")))
    assert other.hears("!yes").said == [CATALOG.no_open_question()]
    assert story.hears("!yes").only_ask.request.confirmation is not None


def test_a_question_stored_by_an_older_version_is_shown_and_then_answered():
    kept = ChatContext(question=Question("q1", QUESTION.title, QUESTION.description, 1000.0))
    story = RoomStory(chat_room(chat_context=kept))
    assert story.hears("!yes").said == [QUESTION_AGAIN]
    story.shows_question()
    assert story.hears("!yes").only_ask.request.confirmation == ConfirmationAnswer("q1", True)


def test_a_question_of_several_events_is_shown_by_the_last_and_then_answered():
    kept = ChatContext(question=Question("q1", "Send it?", "To all of them. " * 2000, 1000.0))
    story = RoomStory(chat_room(chat_context=kept))
    result = story.hears("!yes")
    *before, last = [message.shows_question for message in result.messages]
    assert (set(before), last) == ({None}, "$1")
    story.shows_question()
    assert story.hears("!yes").only_ask.request.confirmation == ConfirmationAnswer("q1", True)


def test_an_expired_question_is_answered_with_a_sentence_and_closed():
    story = asked_to_confirm()
    story.now += QUESTION_KEPT_S + 1
    result = story.hears("!yes")
    assert result.said == [CATALOG.confirmation_expired()]
    assert story.hears("!yes").said == [CATALOG.no_open_question()]


def test_cancel_closes_the_question_without_a_call_to_the_agent():
    story = asked_to_confirm()
    result = story.hears("!cancel")
    assert result.said == [CATALOG.question_dropped()]
    assert result.of(CallAgent) == []
    assert story.hears("!no").said == [CATALOG.no_open_question()]
    assert story.hears("!cancel").said == [CATALOG.cancel_nothing()]


def test_a_restart_in_the_middle_of_an_answer_to_a_question_asks_the_same_again():
    story = asked_to_confirm()
    first = story.hears("!yes").only_ask.request
    again = story.handle(Resumed()).only_ask.request
    assert again == first


# -- stop --------------------------------------------------------------------------------------------


def test_stop_ends_the_answer_at_once_with_the_text_so_far_and_marks_it():
    story = RoomStory()
    story.hears("tell me")
    story.grows("Once upon a time")
    result = story.hears("!stop")
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert reply.body.startswith("Once upon a time")
    assert CATALOG.stopped() in reply.body
    assert not reply.partial
    (said,) = [message for message in result.messages if message.answers == "$2"]
    assert said.notice
    assert story.it.turn is None


def test_stop_without_a_turn_is_answered():
    assert RoomStory().hears("!stop").said == [CATALOG.nothing_to_stop()]


def test_the_message_after_a_stopped_one_is_processed():
    story = RoomStory()
    story.hears("one")
    story.hears("two")
    assert story.hears("!stop").only_ask.request.text == "two"
    assert story.it.room.room_id == ROOM


# -- values from the agent ---------------------------------------------------------------------------


def test_the_token_count_has_a_maximum():
    story = RoomStory()
    for _ in range(3):
        story.hears("one")
        turn = story.it.turn
        assert turn is not None
        story.handle(AgentDone(turn.turn_id, turn.attempt, "1", MAX_TOKENS))
    assert story.it.room.chat_context.tokens == MAX_TOKENS


def test_a_long_file_name_is_shortened():
    story = RoomStory()
    story.hears("one")
    turn = story.it.turn
    assert turn is not None
    done = AgentDone(turn.turn_id, turn.attempt, "1", 1, files=("a/" + "n" * 4_000,))
    (said,) = story.handle(done).said
    assert "n" * FILE_NAME_CHARS in said
    assert "n" * (FILE_NAME_CHARS + 1) not in said

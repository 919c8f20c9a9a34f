"""The state of a chat between messages: settings, saves, an open list, an open question (K4–K9)."""

import pytest
from msgspec.structs import replace

from machines.events.agent import ConfirmationAnswer, ContextRequest
from machines.events.effects import CallAgent, ReservePlatformChatId, SavePreferences
from machines.events.internal import AgentDone, Confirmation, Resumed, TopologyConfirmed
from machines.events.matrix import QuestionShown
from machines.events.orders import StoreBinding
from machines.ids import EventId, RoomId
from machines.room.chat_context import MAX_TOKENS, QUESTION_LIFETIME_S, ChatContext, Question
from machines.turn.endings import FILE_NAME_CHARS
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    CHAT_BINDING,
    ROOM,
    RoomScenario,
    chat_room,
    entry_room,
    without_newest,
)

QUESTION = Confirmation("q1", "Send the mail?", "To all of them.")


def asked_to_confirm() -> RoomScenario:
    scenario = RoomScenario()
    scenario.user_writes("send it")
    result = scenario.agent_done("I could.", QUESTION)
    assert "Send the mail?" in result.texts[0]
    assert "!yes" in result.texts[0]
    scenario.question_shown()
    return scenario


def with_saves(*names: str) -> RoomScenario:
    scenario = RoomScenario()
    for name in names:
        scenario.user_writes(f"!save {name}")
        scenario.agent_done("kept")
    return scenario


# -- settings ----------------------------------------------------------------------------------------


def test_the_next_request_contains_the_settings_that_differ_from_the_defaults():
    scenario = RoomScenario()
    assert scenario.user_writes("one").only_call.request.settings == {}
    scenario.agent_done("1")
    scenario.user_writes("!skill on browser")
    scenario.user_writes("!skill off files")
    scenario.user_writes("!skill on web-search")
    scenario.user_writes("!safety off email-send")
    scenario.user_writes("!soul Be brief.")
    assert scenario.user_writes("two").only_call.request.settings == {
        "soul": "Be brief.",
        "skills": {"browser": True, "files": False},
        "safety": {"email-send": False},
    }


def test_a_switch_waits_for_the_messages_before_it():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.user_writes("two")
    assert scenario.user_writes("!skill off files").effects == ()
    scenario.user_writes("three")
    assert scenario.agent_done("1").only_call.request.settings == {}
    assert scenario.agent_done("2").only_call.request.settings == {"skills": {"files": False}}


def test_two_clears_that_waited_together_reserve_two_contexts():
    scenario = RoomScenario(chat_room(state="reconciling"))
    scenario.user_writes("!clear")
    scenario.user_writes("!clear")
    found = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)
    taken = scenario.handle(found).of(ReservePlatformChatId)
    assert [each.platform_chat_id for each in taken] == ["7", "8", "9"]


@pytest.mark.parametrize("body", ["!settings", "!skills", "!safety", "!soul", "!agent", "!context"])
def test_pages_change_nothing_and_do_not_wait(body):
    scenario = RoomScenario()
    scenario.user_writes("one")
    room = without_newest(scenario.actor.room)
    result = scenario.user_writes(body)
    assert len(result.messages) == 1
    assert result.of(SavePreferences) == []
    assert without_newest(scenario.actor.room) == room


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
    result = RoomScenario().user_writes(body)
    assert len(result.messages) == 1
    assert result.of(SavePreferences) == []


def test_the_soul_can_be_removed():
    scenario = RoomScenario()
    scenario.user_writes("!soul Be brief.")
    scenario.user_writes("!soul none")
    assert scenario.user_writes("one").only_call.request.settings == {}


# -- agents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["2", "writer"])
def test_selecting_an_agent_never_moves_a_bound_chat(argument):
    scenario = RoomScenario(context_options={"agents": ("default", "writer")})
    result = scenario.user_writes(f"!agent {argument}")
    assert scenario.preferences[ANNA].agent_id == "writer"
    assert scenario.actor.room.binding == CHAT_BINDING
    assert not any(isinstance(order, StoreBinding) for order in result.orders)
    assert scenario.user_writes("one").only_call.request.agent_id == "default"


def test_selecting_an_agent_binds_a_chat_that_has_none():
    room = chat_room(binding=replace(CHAT_BINDING, agent_id=None))
    scenario = RoomScenario(room, context_options={"agents": ("default", "writer")})
    result = scenario.user_writes("!agent writer")
    (kept,) = [order for order in result.orders if isinstance(order, StoreBinding)]
    assert kept.content["agent_id"] == "writer"
    assert scenario.user_writes("one").only_call.request.agent_id == "writer"


def test_selecting_an_agent_works_in_an_entry_room():
    scenario = RoomScenario(entry_room(), context_options={"agents": ("default", "writer")})
    assert len(scenario.user_writes("!agent writer").messages) == 1
    assert scenario.preferences[ANNA].agent_id == "writer"


# -- contexts ----------------------------------------------------------------------------------------


def test_save_asks_the_agent_with_a_text_and_a_field_and_answers_with_a_notice():
    scenario = RoomScenario()
    request = scenario.user_writes("!save before lunch").only_call.request
    assert request.context == ContextRequest("save", "before lunch")
    assert "before lunch" in request.text
    assert request.platform_chat_id == "7"
    scenario.agent_output("Keeping")
    assert scenario.time_passes(1).messages == []
    (reply,) = scenario.agent_done("Kept.").messages
    assert (reply.notice, reply.answers) == (True, "$1")
    assert scenario.actor.room.chat_context.saves == ("before lunch",)


def test_a_save_that_failed_is_not_listed():
    scenario = RoomScenario()
    scenario.user_writes("!save lunch")
    result = scenario.attempt_failed("NO", retryable=False)
    assert result.texts == [CATALOG.save_failed("lunch", "NO")]
    assert scenario.actor.room.chat_context.saves == ()


def test_a_save_without_a_name_gets_one():
    scenario = RoomScenario()
    context = scenario.user_writes("!save").only_call.request.context
    assert context is not None
    assert context.name == CATALOG.save_name(1)


def test_a_save_without_a_name_does_not_replace_another():
    scenario = with_saves(CATALOG.save_name(2))
    context = scenario.user_writes("!save").only_call.request.context
    assert context is not None
    assert context.name == CATALOG.save_name(3)


def test_a_number_picks_from_the_open_list_and_only_then():
    scenario = with_saves("one", "two")
    assert scenario.user_writes("2").only_call.request.context is None
    scenario.agent_done("…")
    scenario.user_writes("!load")
    request = scenario.user_writes("2").only_call.request
    assert request.context == ContextRequest("load", "two")
    scenario.agent_done("back")
    assert scenario.actor.room.chat_context.context_name == "two"
    assert scenario.user_writes("1").only_call.request.context is None


def test_a_wrong_number_leaves_the_list_open_and_zero_or_cancel_closes_it():
    for leave in ("0", "!cancel"):
        scenario = with_saves("one")
        scenario.user_writes("!load")
        assert scenario.user_writes("9").texts == [CATALOG.load_invalid(1)]
        assert scenario.user_writes(leave).texts == [CATALOG.load_left()]
        assert scenario.user_writes("1").only_call.request.context is None


def test_plain_text_while_the_list_is_open_is_an_ordinary_message():
    scenario = with_saves("one")
    scenario.user_writes("!load")
    assert scenario.user_writes("what is in it?").only_call.request.context is None


def test_load_without_saves_is_answered_and_opens_no_list():
    scenario = RoomScenario()
    assert scenario.user_writes("!load").texts == [CATALOG.load_none()]
    assert scenario.user_writes("1").only_call.request.context is None


def test_context_shows_name_tokens_and_saves_without_the_agent():
    scenario = with_saves("lunch")
    result = scenario.user_writes("!context")
    assert result.of(CallAgent) == []
    assert "lunch" in result.texts[0]
    assert "5" in result.texts[0]


# -- questions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "accepted"), [("!yes", True), ("!no", False), ("!YES", True)])
def test_a_question_is_answered_once_and_the_reply_is_the_text_of_the_agent(body, accepted):
    scenario = asked_to_confirm()
    request = scenario.user_writes(body).only_call.request
    assert request.confirmation == ConfirmationAnswer("q1", accepted)
    assert request.text == ("yes" if accepted else "no")
    (reply,) = scenario.agent_done("As you wish.").messages
    assert (reply.body, reply.answers) == ("As you wish.", "$2")
    assert scenario.user_writes(body).texts == [CATALOG.no_open_question()]


def test_plain_yes_is_an_ordinary_message_and_leaves_the_question_open():
    scenario = asked_to_confirm()
    assert scenario.user_writes("yes").only_call.request.confirmation is None
    scenario.agent_done("…")
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


QUESTION_AGAIN = CATALOG.question_again(QUESTION.title, QUESTION.description)


@pytest.mark.parametrize("body", ["!yes", "!no"])
def test_an_answer_written_during_streaming_does_not_count_for_a_later_question(
    body,
):
    scenario = RoomScenario()
    scenario.user_writes("send it")
    scenario.agent_output("Type !yes to go on")
    assert scenario.user_writes(body).effects == ()
    result = scenario.agent_done("I could.", QUESTION)
    assert result.of(CallAgent) == []
    again = result.messages[-1]
    assert (again.body, again.answers, again.notice) == (QUESTION_AGAIN, "$2", True)
    scenario.question_shown()
    request = scenario.user_writes("!yes").only_call.request
    assert request.confirmation == ConfirmationAnswer("q1", True)


def test_an_answer_does_not_count_until_the_timeline_contains_the_question():
    scenario = RoomScenario()
    scenario.user_writes("send it")
    scenario.agent_done("I could.", QUESTION)
    result = scenario.user_writes("!yes")
    assert (result.of(CallAgent), result.texts) == ([], [QUESTION_AGAIN])
    scenario.question_shown()
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


def test_an_answer_that_waited_while_the_question_was_shown_counts_as_earlier():
    scenario = RoomScenario()
    scenario.user_writes("send it")
    scenario.user_writes("something else")
    scenario.user_writes("!yes")
    scenario.agent_done("I could.", QUESTION)
    scenario.question_shown()
    result = scenario.agent_done("Done.")
    assert (result.of(CallAgent), result.texts[-1]) == ([], QUESTION_AGAIN)


def test_an_answer_to_an_older_question_does_not_count_for_the_one_that_replaced_it():
    scenario = asked_to_confirm()
    scenario.user_writes("send another")
    scenario.user_writes("!yes")
    result = scenario.agent_done("I could.", Confirmation("q1", "Another?", "To nobody."))
    assert result.of(CallAgent) == []
    assert result.texts[-1] == CATALOG.question_again("Another?", "To nobody.")


def test_a_question_is_not_marked_as_shown_by_the_event_of_the_question_it_replaced():
    scenario = RoomScenario()
    scenario.user_writes("send it")
    first = [m.shows_question for m in scenario.agent_done("I could.", QUESTION).messages][-1]
    scenario.user_writes("send another")
    scenario.agent_done("I could.", QUESTION)
    assert first is not None
    scenario.handle(QuestionShown(ROOM, EventId("$late"), first), stored=True)
    assert scenario.user_writes("!yes").texts == [QUESTION_AGAIN]


@pytest.mark.parametrize(
    "body",
    ["!yes but not my notes", "!no thanks", "!yes\nplease", "!yes, but not my notes", "!No."],
)
def test_an_answer_followed_by_text_does_not_count_and_the_question_is_shown_again(body):
    scenario = asked_to_confirm()
    result = scenario.user_writes(body)
    assert (result.of(CallAgent), result.texts) == ([], [QUESTION_AGAIN])
    assert result.messages[0].answers == "$2"
    assert scenario.user_writes("!yes ").only_call.request.confirmation is not None
    scenario.agent_done("Done.")
    assert scenario.user_writes(body).texts == [CATALOG.no_open_question()]


def test_the_event_that_shows_a_question_is_the_last_of_its_reply():
    scenario = RoomScenario()
    scenario.user_writes("send it")
    scenario.agent_output("I could. " * 400)
    scenario.time_passes(1)
    scenario.agent_output("I could. " * 9000)
    result = scenario.agent_done("I could. " * 9000, QUESTION)
    assert len(result.messages) > 2
    assert [bool(message.shows_question) for message in result.messages[:-1]] == [False] * (
        len(result.messages) - 1
    )
    assert result.messages[-1].shows_question == "$1"


def test_another_user_or_another_room_cannot_answer_a_question():
    scenario = asked_to_confirm()
    assert scenario.user_writes("!yes", sender=BERT).messages == []
    other = RoomScenario(chat_room(room_id=RoomId("!other")))
    assert other.user_writes("!yes").texts == [CATALOG.no_open_question()]
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


def test_a_question_stored_by_an_older_version_is_shown_and_then_answered():
    kept = ChatContext(question=Question("q1", QUESTION.title, QUESTION.description, 1000.0))
    scenario = RoomScenario(chat_room(chat_context=kept))
    assert scenario.user_writes("!yes").texts == [QUESTION_AGAIN]
    scenario.question_shown()
    assert scenario.user_writes("!yes").only_call.request.confirmation == ConfirmationAnswer(
        "q1", True
    )


def test_a_question_of_several_events_is_shown_by_the_last_and_then_answered():
    kept = ChatContext(question=Question("q1", "Send it?", "To all of them. " * 2000, 1000.0))
    scenario = RoomScenario(chat_room(chat_context=kept))
    result = scenario.user_writes("!yes")
    *before, last = [message.shows_question for message in result.messages]
    assert (set(before), last) == ({None}, "$1")
    scenario.question_shown()
    assert scenario.user_writes("!yes").only_call.request.confirmation == ConfirmationAnswer(
        "q1", True
    )


def test_an_expired_question_is_answered_with_a_sentence_and_closed():
    scenario = asked_to_confirm()
    scenario.now += QUESTION_LIFETIME_S + 1
    result = scenario.user_writes("!yes")
    assert result.texts == [CATALOG.confirmation_expired()]
    assert scenario.user_writes("!yes").texts == [CATALOG.no_open_question()]


def test_cancel_closes_the_question_without_a_call_to_the_agent():
    scenario = asked_to_confirm()
    result = scenario.user_writes("!cancel")
    assert result.texts == [CATALOG.question_dropped()]
    assert result.of(CallAgent) == []
    assert scenario.user_writes("!no").texts == [CATALOG.no_open_question()]
    assert scenario.user_writes("!cancel").texts == [CATALOG.cancel_nothing()]


def test_a_restart_in_the_middle_of_an_answer_to_a_question_asks_the_same_again():
    scenario = asked_to_confirm()
    first = scenario.user_writes("!yes").only_call.request
    again = scenario.handle(Resumed()).only_call.request
    assert again == first


# -- stop --------------------------------------------------------------------------------------------


def test_stop_ends_the_answer_at_once_with_the_text_so_far_and_marks_it():
    scenario = RoomScenario()
    scenario.user_writes("tell me")
    scenario.agent_output("Once upon a time")
    result = scenario.user_writes("!stop")
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert reply.body.startswith("Once upon a time")
    assert CATALOG.stopped() in reply.body
    assert not reply.partial
    (said,) = [message for message in result.messages if message.answers == "$2"]
    assert said.notice
    assert scenario.actor.turn is None


def test_stop_without_a_turn_is_answered():
    assert RoomScenario().user_writes("!stop").texts == [CATALOG.nothing_to_stop()]


def test_the_message_after_a_stopped_one_is_processed():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.user_writes("two")
    assert scenario.user_writes("!stop").only_call.request.text == "two"
    assert scenario.actor.room.room_id == ROOM


# -- values from the agent ---------------------------------------------------------------------------


def test_the_token_count_has_a_maximum():
    scenario = RoomScenario()
    for _ in range(3):
        scenario.user_writes("one")
        turn = scenario.actor.turn
        assert turn is not None
        scenario.handle(AgentDone(turn.turn_id, turn.attempt, "1", MAX_TOKENS))
    assert scenario.actor.room.chat_context.tokens == MAX_TOKENS


def test_a_long_file_name_is_shortened():
    scenario = RoomScenario()
    scenario.user_writes("one")
    turn = scenario.actor.turn
    assert turn is not None
    done = AgentDone(turn.turn_id, turn.attempt, "1", 1, files=("a/" + "n" * 4_000,))
    (said,) = scenario.handle(done).texts
    assert "n" * FILE_NAME_CHARS in said
    assert "n" * (FILE_NAME_CHARS + 1) not in said

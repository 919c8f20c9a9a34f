"""Which messages agree to the agent's question: the bare word, and nothing else (contract K8)."""

import pytest

from machines.events.agent import ConfirmationAnswer
from machines.events.effects import CallAgent
from machines.events.internal import Confirmation
from tests.machines.support import CATALOG, RoomScenario

QUESTION = Confirmation("q1", "Wipe the disk?", "All of it.")
AGAIN = CATALOG.question_again(QUESTION.title, QUESTION.description)

BARE = ("!yes", "!YES", "!Yes", "!yes ", "!yes\n", "!yes \t\r\n", "!yes\u00a0", "!yes\u3000")
QUALIFIED = (
    "!yes but not my work notes",
    "!yes, but not my work notes",
    "!yes\u00a0but not my work notes",
    "!yes\nbut not my work notes",
    "!yes\u2028but not my work notes",
    "!yes\x0bbut",
    "!yes, …",
    "!yes…",
    "!yes?",
    "!yes!",
    "!yes.",
    "!yes;",
    "!yes/no",
    "!yes\u200bbut",
    "!yes\u200b",
    "!yes \U0001f44d",
    "!yes\U0001f44d",
    "!yes !no",
    "!yes > !no",
    "!yes `x`",
    "!yes\u0000",
    "!no wait",
    "!NO, wait",
)
DISGUISED = (
    "\uff01yes",
    "\uff01yes but not my work notes",
    "\ufe57yes",
    "\u01c3yes",
    "\u00a1yes",
    "\u2757yes",
    "\u2757\ufe0fyes",
    "\u2755no",
    "\u203cyes",
    "!!yes",
    "!!!no",
    "! yes",
    "!\u00a0yes",
    "!\u200byes",
    " !yes",
    "\n!yes",
    "\u00a0!yes",
    "\u200b!yes",
    "\ufeff!yes",
    "\u202e!yes",
    "\u200b!yes but not my work notes",
    "`!yes`",
    "**!yes**",
    "> Wipe the disk?\n\n!yes",
    "> Wipe the disk?\n> All of it.\n!yes but not my work notes",
)
FOR_THE_AGENT = ("yes", "yes!", "no", "yes, do", "yesterday", "!!", "> !yes\n\nwhat does that do?")


def asked():
    scenario = RoomScenario()
    scenario.user_writes("wipe it")
    scenario.agent_done("I could.", QUESTION)
    scenario.question_shown()
    return scenario


@pytest.mark.parametrize("body", BARE)
def test_the_bare_word_agrees(body):
    request = asked().user_writes(body).only_call.request
    assert request.confirmation == ConfirmationAnswer("q1", accepted=True)


@pytest.mark.parametrize("body", [*QUALIFIED, *DISGUISED])
def test_anything_else_around_the_word_shows_the_question_again_and_asks_no_agent(body):
    scenario = asked()
    result = scenario.user_writes(body)
    assert (result.of(CallAgent), result.texts) == ([], [AGAIN])
    (again,) = result.messages
    assert (again.notice, again.answers) == (True, "$2")
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


@pytest.mark.parametrize(
    "body", ["!yesterday", "!yes_", "!yes-but", "!yesno", "!\u0443es", "!\uff59\uff45\uff53"]
)
def test_another_word_is_an_unknown_command_and_leaves_the_question_open(body):
    scenario = asked()
    result = scenario.user_writes(body)
    assert result.of(CallAgent) == []
    assert result.texts == [CATALOG.unknown_command(body)]
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


@pytest.mark.parametrize("body", FOR_THE_AGENT)
def test_a_text_without_the_command_is_a_message_and_leaves_the_question_open(body):
    scenario = asked()
    request = scenario.user_writes(body).only_call.request
    assert (request.text, request.confirmation) == (body, None)
    scenario.agent_done("Well.")
    assert scenario.user_writes("!yes").only_call.request.confirmation is not None


@pytest.mark.parametrize("body", QUALIFIED)
def test_a_qualified_answer_without_a_question_is_never_sent_to_the_agent(body):
    result = RoomScenario().user_writes(body)
    assert (result.of(CallAgent), result.texts) == ([], [CATALOG.no_open_question()])


@pytest.mark.parametrize("body", DISGUISED)
def test_a_text_that_resembles_an_answer_is_a_message_while_no_question_is_open(body):
    assert RoomScenario().user_writes(body).only_call.request.text == body


def test_a_disguised_answer_counts_for_the_question_that_is_open_when_its_turn_comes():
    scenario = RoomScenario()
    scenario.user_writes("wipe it")
    assert scenario.user_writes("\uff01yes").effects == ()
    result = scenario.agent_done("I could.", QUESTION)
    assert (result.of(CallAgent), result.texts[-1]) == ([], AGAIN)

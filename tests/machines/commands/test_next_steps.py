"""What commands refuse, and what their answers say to do next (contracts K3, K7, K9, K12)."""

import pytest
from msgspec.structs import replace

from machines.commands import COMMANDS
from machines.events.agent import ContextRequest
from machines.events.effects import CallAgent, CancelCall
from machines.events.internal import Confirmation
from machines.i18n import TEMPLATES, catalog_for
from machines.room.chat_context import ChatContext
from tests.machines.support import CATALOG, CHAT_BINDING, RoomScenario, chat_room, without_newest

SAVES = ("lunch", "Dinner", "2", "dinner")
ARCHIVED = replace(CHAT_BINDING, archived=True, chat_id="C12")


def with_saves(*saves, **changes):
    return RoomScenario(chat_room(chat_context=ChatContext(saves=saves), **changes))


# -- !archive and !clear -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["!archive x", "!clear x", "!reset x", "!archive\nthis chat"])
def test_an_argument_is_refused_with_how_to_write_the_command_and_nothing_is_done(body):
    scenario = with_saves("lunch")
    scenario.user_writes("one")
    room, turn = without_newest(scenario.actor.room), scenario.actor.turn
    result = scenario.user_writes(body)
    name = {"!archive": "archive"}.get(body.split()[0], "clear")
    assert result.texts == [CATALOG.no_argument(name)]
    assert f"`!{name}`" in result.texts[0]
    assert (len(result.orders), result.of(CancelCall)) == (1, [])
    assert (without_newest(scenario.actor.room), scenario.actor.turn) == (room, turn)


def test_archive_says_how_to_undo_it():
    scenario = RoomScenario(chat_room(binding=replace(CHAT_BINDING, chat_id="C12")))
    (text,) = scenario.user_writes("!archive").texts
    assert text == CATALOG.archived_now(12)
    assert "`!open 12`" in text


@pytest.mark.parametrize("locale", sorted(TEMPLATES))
def test_clear_says_what_can_be_undone_and_what_can_not(locale):
    assert "!load" not in RoomScenario().user_writes("!clear").texts[0]
    (text,) = with_saves("lunch").user_writes("!clear").texts
    assert text == CATALOG.context_cleared(has_saves=True)
    assert "can't be undone" in text
    assert "`!load`" in catalog_for(locale, "Lambda").context_cleared(has_saves=True)


# -- an archived chat --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "!rename Other",
        "!clear",
        "!clear x",
        "!archive",
        "!save",
        "!load",
        "!yes",
        "!cancel",
        "hello",
    ],
)
def test_an_archived_chat_refuses_with_how_to_open_it_again(body):
    question = Confirmation("q1", "Send?", "")
    scenario = with_saves("lunch")
    scenario.user_writes("send")
    scenario.agent_done("I could.", question)
    scenario.question_shown()
    scenario.actor = replace(scenario.actor, room=replace(scenario.actor.room, binding=ARCHIVED))
    room = without_newest(scenario.actor.room)
    result = scenario.user_writes(body)
    assert result.texts == [CATALOG.chat_is_archived(12)]
    assert "`!open 12`" in result.texts[0]
    assert (len(result.orders), result.of(CallAgent)) == (1, [])
    assert without_newest(scenario.actor.room) == room


@pytest.mark.parametrize(
    "name", ["help", "chats", "new", "settings", "context", "language", "stop"]
)
def test_an_archived_chat_still_answers_what_changes_nothing_in_it(name):
    scenario = RoomScenario(chat_room(binding=ARCHIVED))
    result = scenario.user_writes(f"!{name}")
    assert CATALOG.chat_is_archived(12) not in result.texts
    assert len(result.messages) + len(result.tells) == 1


# -- !load -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "picked"),
    [
        ("1", "lunch"),
        ("01", "lunch"),
        ("2", "Dinner"),
        ("3", "2"),
        ("lunch", "lunch"),
        ("LUNCH", "lunch"),
        ("dinner", "dinner"),
        ("DINNER", "Dinner"),
        ("  lunch ", "lunch"),
    ],
)
def test_load_picks_a_number_or_a_name_at_once(argument, picked):
    scenario = with_saves(*SAVES)
    request = scenario.user_writes(f"!load {argument}").only_call.request
    assert request.context == ContextRequest("load", picked)
    assert scenario.agent_done("").texts == [CATALOG.load_picked(picked)]
    # No list is open: a number is a message.
    assert scenario.user_writes("1").only_call.request.context is None


def test_load_with_an_argument_closes_an_open_list():
    scenario = with_saves(*SAVES)
    scenario.user_writes("!load")
    scenario.user_writes("!load 1")
    scenario.agent_done("")
    assert scenario.user_writes("1").only_call.request.context is None


@pytest.mark.parametrize("argument", ["9", "breakfast", "-1", "\u0661", "1 2", "9" * 5000])
def test_load_of_anything_else_says_what_there_is(argument):
    result = with_saves("lunch").user_writes(f"!load {argument}")
    assert result.texts == [CATALOG.load_unknown(argument[:100], ("lunch",))]
    assert "`!load 1` — lunch" in result.texts[0]
    assert result.of(CallAgent) == []


def test_load_zero_leaves_everything_as_it_is():
    assert with_saves("lunch").user_writes("!load 0").texts == [CATALOG.load_left()]


# -- !context ----------------------------------------------------------------------------------------


def test_the_context_page_is_a_sentence():
    assert CATALOG.context_page("", 860, ()) == "Nothing saved yet; about 860 tokens in use."
    assert CATALOG.context_page("", None, ()) == "Nothing saved yet; no tokens in use so far."
    assert CATALOG.context_page("lunch", 1, ("lunch",)) == (
        "Last saved or loaded: **lunch**; about 1 token in use.\n\nYou can go back:\n\n"
        "- `!load 1` — lunch"
    )


# -- !stop -------------------------------------------------------------------------------------------


def test_stop_says_what_comes_next_and_the_reply_that_it_was_stopped():
    scenario = RoomScenario()
    scenario.user_writes("one")
    reply, said = scenario.user_writes("!stop").messages
    assert (reply.answers, reply.body) == ("$1", CATALOG.stopped())
    assert (said.answers, said.body) == ("$2", CATALOG.stop_done(others_wait=False))
    scenario.user_writes("three")
    scenario.user_writes("four")
    texts = {message.answers: message.body for message in scenario.user_writes("!stop").messages}
    assert texts == {"$3": CATALOG.stopped(), "$5": CATALOG.stop_done(others_wait=True)}


@pytest.mark.parametrize("body", ["!stop now", "!stop\nplease"])
def test_an_argument_of_stop_does_no_harm(body):
    scenario = RoomScenario()
    scenario.user_writes("one")
    assert scenario.user_writes(body).of(CancelCall) == [CancelCall()]


# -- usage and examples ------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", sorted(TEMPLATES))
def test_every_command_with_an_argument_has_an_example_that_begins_with_it(locale):
    catalog = catalog_for(locale, "Lambda")
    for name in COMMANDS:
        assert (f"usage_{name}" in catalog.templates) == (f"example_{name}" in catalog.templates)
        if f"example_{name}" in catalog.templates:
            assert catalog.format(f"example_{name}").startswith(f"!{name} ")


def test_the_examples_are_understood():
    assert CATALOG.wrong_usage("safety") == "For example: `!safety off file-delete`"
    for locale in TEMPLATES:
        for name in ("skill", "safety", "agent", "language", "rename", "soul", "new", "save"):
            example = catalog_for(locale, "Lambda").format(f"example_{name}")
            result = RoomScenario().user_writes(example)
            assert CATALOG.wrong_usage(name) not in result.texts
            assert all("There is no" not in text for text in result.texts)


def test_the_soul_says_how_to_remove_it_and_that_removes_it():
    scenario = RoomScenario()
    assert "`!soul Be brief and kind.`" in scenario.user_writes("!soul").texts[0]
    assert "`!soul off`" in scenario.user_writes("!soul Be brief.").texts[0]
    assert "`!soul off`" in scenario.user_writes("!soul").texts[0]
    assert scenario.user_writes("!soul off").texts == [CATALOG.soul_cleared()]
    assert scenario.user_writes("!soul").texts == [CATALOG.soul_shown("")]

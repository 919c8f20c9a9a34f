"""Which messages are commands, and the effects of each command."""

import pytest

from machines.commands import ALIASES, COMMANDS, parse
from machines.commands.unknown import Unknown
from machines.events.effects import CallAgent, CancelCall, ReservePlatformChatId
from machines.events.internal import ChatListRequested, NewChatRequested
from machines.events.orders import NameRoom, StoreBinding
from tests.machines.support import (
    ANNA,
    CATALOG,
    ROOM,
    RoomScenario,
    entry_room,
    without_newest,
)

# -- what is a command -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "argument"),
    [
        ("!help", "help", ""),
        ("!HELP", "help", ""),
        ("!rename  Plans for May ", "rename", "Plans for May"),
        ("!new\tPlans", "new", "Plans"),
        ("!new\nPlans\nof May", "new", "Plans\nof May"),
        ("!clear \n", "clear", ""),
    ],
)
def test_a_command_is_a_name_and_an_argument(body, name, argument):
    command = parse(body)
    assert type(command) is COMMANDS[name]
    assert command.argument == argument


@pytest.mark.parametrize(
    "body",
    [
        "",
        "!",
        "!!",
        "!!help",
        "! help",
        "!1",
        "!_help",
        "!-help",
        "!?",
        " !help",
        "\t!help",
        "\n!help",
        "\u00a0!help",
        "\u200b!help",
        "\ufeff!help",
        "\uff01help",  # full-width
        "\u01c3help",  # a click consonant
        "\u203chelp",  # two in one
        "\u00a1help",
        "> !help",
        "help",
        "say !help",
        "*!help*",
        "`!help`",
        "!help!",
        "!help/me",
    ],
)
def test_a_text_that_resembles_a_command_is_plain_text(body):
    assert parse(body) is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("!hlep", "hlep"),
        ("!helpme please", "helpme"),
        ("!сlear", "сlear"),  # the first letter is Cyrillic
        ("!\uff48elp", "\uff48elp"),
        ("!\u212anow", "\u212anow"),  # Kelvin sign, which lower() makes a k
        ("!cha\u0442s", "cha\u0442s"),
    ],
)
def test_any_other_name_is_unknown_and_has_no_effect(body, word):
    assert parse(body) == Unknown(word)


def test_no_letter_that_resembles_an_ascii_letter_matches_a_command():
    twins: dict[str, set[str]] = {}
    for other in map(chr, range(0x80, 0x30000)):
        for letter in {other.lower(), other.casefold()}:
            twins.setdefault(letter, set()).add(other)
    assert "\u212a" in twins["k"]
    for name in COMMANDS:
        for index, letter in enumerate(name):
            for twin in twins.get(letter, ()):
                body = f"!{name[:index]}{twin}{name[index + 1 :]}"
                assert isinstance(parse(body), Unknown), body


# -- what commands do --------------------------------------------------------------------------------


def test_help_names_every_command():
    (page,) = RoomScenario().user_writes("!help").messages
    assert all(f"!{name}" in page.body for name in COMMANDS)
    assert (page.notice, page.answers) == (True, "$1")


def test_an_unknown_command_gets_one_line_that_names_help():
    (answer,) = RoomScenario().user_writes("!hlep").messages
    assert "!help" in answer.body
    assert "\n" not in answer.body
    assert answer.notice


def test_new_asks_the_users_actor_under_a_clean_name():
    result = RoomScenario().user_writes("!new  Plans\n for\x07 May ")
    (tell,) = result.tells
    assert tell.actor == ANNA
    assert isinstance(tell.event, NewChatRequested)
    assert tell.event.name == "Plans for May"
    assert tell.event.reply_to.event_id == "$1"
    assert result.orders == []


def test_chats_asks_the_users_actor():
    (tell,) = RoomScenario().user_writes("!chats").tells
    assert tell.actor == ANNA
    assert isinstance(tell.event, ChatListRequested)


def test_rename_changes_both_names():
    scenario = RoomScenario()
    result = scenario.user_writes("!rename  My   plans ")
    assert result.orders[0] == NameRoom(ROOM, "My plans")
    assert result.texts == [CATALOG.renamed("My plans")]
    assert scenario.actor.room.name == "My plans"


@pytest.mark.parametrize("body", ["!rename", "!rename  ", "!rename \x07\u200b"])
def test_rename_without_a_name_answers_with_its_usage(body):
    scenario = RoomScenario()
    result = scenario.user_writes(body)
    assert result.texts == [CATALOG.wrong_usage("rename")]
    assert len(result.orders) == 1
    assert scenario.actor.room.name == "Chat 1"


@pytest.mark.parametrize("command", ["!rename", "!new"])
def test_a_name_that_is_too_long_is_refused(command):
    scenario = RoomScenario()
    result = scenario.user_writes(f"{command} {'x' * 101}")
    assert result.texts == [CATALOG.name_too_long(100)]
    assert result.tells == []
    assert scenario.actor.room.name == "Chat 1"
    assert scenario.user_writes(f"{command} {'x' * 100}").texts != [CATALOG.name_too_long(100)]


def test_archive_waits_for_the_messages_before_it_and_then_ends_the_chat():
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.user_writes("two")
    assert scenario.user_writes("!archive").effects == ()
    scenario.user_writes("three")
    assert scenario.agent_done("1").only_call.request.text == "two"
    result = scenario.agent_done("2")

    assert scenario.actor.room.binding is not None
    assert scenario.actor.room.binding.archived
    (kept,) = [order for order in result.orders if isinstance(order, StoreBinding)]
    assert kept.content["archived"] is True
    assert result.texts[-2:] == [CATALOG.archived_now(1), CATALOG.chat_is_archived(1)]
    assert result.acked == [3, 4]


def test_archiving_twice_is_answered_and_writes_nothing():
    scenario = RoomScenario()
    scenario.user_writes("!archive")
    result = scenario.user_writes("!archive")
    assert result.texts == [CATALOG.chat_is_archived(1)]
    assert len(result.orders) == 1


@pytest.mark.parametrize("body", ["!clear", "!reset"])
def test_clear_binds_a_new_context_and_cancels_the_call_in_the_old_one(body):
    scenario = RoomScenario()
    scenario.user_writes("one")
    scenario.agent_output("I was just")
    result = scenario.user_writes(body)

    assert scenario.actor.room.binding is not None
    assert scenario.actor.room.binding.platform_chat_id == "8"
    assert result.of(ReservePlatformChatId) == [ReservePlatformChatId("8")]
    assert result.of(CancelCall) == [CancelCall()]
    (kept,) = [order for order in result.orders if isinstance(order, StoreBinding)]
    assert kept.content["platform_chat_id"] == "8"
    assert CATALOG.context_cleared(has_saves=False) in result.texts
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert "I was just" in reply.body
    assert CATALOG.stopped() in reply.body
    assert scenario.actor.turn is None


def test_a_turn_that_is_cleared_before_it_has_text_still_gets_its_reply():
    scenario = RoomScenario()
    scenario.user_writes("one")
    result = scenario.user_writes("!clear")
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert reply.body == CATALOG.stopped()


def test_messages_after_clear_use_the_new_context():
    scenario = RoomScenario()
    scenario.user_writes("!clear")
    assert scenario.user_writes("hello").only_call.request.platform_chat_id == "8"


@pytest.mark.parametrize("body", ["!rename x", "!archive", "!clear", "!reset"])
def test_commands_of_a_chat_are_refused_in_an_entry_room(body):
    room = entry_room()
    scenario = RoomScenario(room)
    result = scenario.user_writes(body)
    name = "!clear" if body == "!reset" else body.split()[0]
    assert result.texts == [CATALOG.only_in_chat(name)]
    assert len(result.orders) == 1
    assert without_newest(scenario.actor.room) == room


@pytest.mark.parametrize("body", ["!help", "!hlep", "!new", "!chats"])
def test_commands_about_the_user_work_in_an_entry_room(body):
    result = RoomScenario(entry_room()).user_writes(body)
    assert len(result.messages) + len(result.tells) == 1


def test_commands_that_only_show_something_are_processed_during_an_answer():
    scenario = RoomScenario()
    scenario.user_writes("one")
    result = scenario.user_writes("!help")
    assert len(result.messages) == 1
    assert result.acked == [2]
    assert scenario.actor.turn is not None


def test_no_command_reaches_an_agent_as_text():
    for name in (*COMMANDS, *ALIASES):
        for body in (f"!{name}", f"!{name} x", f"!{name} on x"):
            requests = [ask.request for ask in RoomScenario().user_writes(body).of(CallAgent)]
            assert all(request.context or request.confirmation for request in requests)
            assert all(body not in request.text for request in requests)


def test_a_command_in_the_text_of_an_agent_is_not_executed():
    for name in (*COMMANDS, *ALIASES):
        scenario = RoomScenario()
        scenario.user_writes("say it")
        room = scenario.actor.room
        (reply,) = scenario.agent_done(f"!{name} x").messages
        assert reply.body == f"!{name} x"
        assert (scenario.actor.room.binding, scenario.actor.room.name) == (room.binding, room.name)


@pytest.mark.parametrize("name", [*COMMANDS, *ALIASES])
@pytest.mark.parametrize("argument", ["", "x", "on x", "0", "9" * 5000, "\x00\u202e"])
def test_every_command_with_any_argument_is_answered_once_each_time(name, argument):
    scenario = RoomScenario()
    for _ in range(2):
        result = scenario.user_writes(f"!{name} {argument}")
        if scenario.actor.turn is not None:
            result = scenario.agent_done("done")
            answered = result.messages
        else:
            assert len(result.acked) == 1
            answered = [*result.messages, *result.tells]
        assert len(answered) == 1
        assert scenario.actor.waiting == ()

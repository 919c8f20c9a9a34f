"""Every command in a chat and in the entry room, valid and invalid, twice, in each language (K1, D2, E8)."""

import pytest

from machines.commands import COMMANDS
from tests.support.agent_script import End
from tests.system.chat_commands.phrases import COMMAND_WORDS, UNKNOWN, USES, help_page, written

pytestmark = pytest.mark.anyio

# These need a chat of their own, because their effects would change other answers.
ON_THEIR_OWN = {"archive", "load"}


def twice(name, *, in_entry=False):
    """Return the inputs for a command with the sentences that answer, each use twice in a row."""
    return [
        (written(name, use), (in_entry and use.in_entry) or keys)
        for use in USES[name]
        for keys in (use.is_made_of, use.again or use.is_made_of)
    ]


@pytest.mark.parametrize("name", COMMAND_WORDS)
async def test_a_command_in_a_chat_is_answered_each_time_in_its_language(localized, agent, name):
    agent.script = lambda _: [End()]
    chat = await localized.open_chat(name) if name in ON_THEIR_OWN else localized.onboarded.chat
    typed = twice(name)
    answers = await localized.send_all(chat, *(body for body, _ in typed))
    for (_, keys), answer in zip(typed, answers, strict=True):
        localized.assert_notice(keys, answer)


@pytest.mark.parametrize("name", COMMAND_WORDS)
async def test_a_command_in_the_entry_room_works_or_is_answered_with_where_it_works(
    localized, name
):
    typed = twice(name, in_entry=True)
    answers = await localized.send_all(localized.onboarded.entry, *(body for body, _ in typed))
    for (_, keys), answer in zip(typed, answers, strict=True):
        localized.assert_notice(
            ("only_in_chat",) if COMMAND_WORDS[name].chats_only else keys, answer
        )


async def test_an_unknown_command_gets_one_line_that_names_help(localized):
    for room in (localized.onboarded.chat, localized.onboarded.entry):
        for answer in await localized.send_all(room, *(f"!{word}" for word in UNKNOWN)):
            localized.assert_notice(("unknown_command",), answer)
            assert "!help" in answer.body
            assert "\n" not in answer.body


async def test_help_is_the_table_of_commands_in_the_language_of_the_bot(localized):
    onboarded = localized.onboarded
    for room in (onboarded.chat, onboarded.entry):
        in_chat = room == onboarded.chat
        (answer,) = await localized.send_all(room, "!help")
        assert answer.body == help_page(localized.catalog, in_chat=in_chat)
        for name, command in COMMANDS.items():
            assert (f"`!{name}" in answer.body) == (in_chat or not command.chats_only), name

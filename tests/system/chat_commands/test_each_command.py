"""Every command in a chat and in the entry room, well and badly written, twice, in each language (K1, D2, E8)."""

import pytest

from machines.commands import COMMANDS
from tests.support.agent_script import End
from tests.system.chat_commands.phrases import UNKNOWN, USES, WORDS, written

pytestmark = pytest.mark.anyio

# What is left of the others changes no answer to these, and of these none to the others.
ON_THEIR_OWN = {"archive", "load"}


def twice(name):
    """Return what is typed for a command and the sentences that answer, each use twice in a row."""
    return [
        (written(name, use), keys)
        for use in USES[name]
        for keys in (use.says, use.again or use.says)
    ]


@pytest.mark.parametrize("name", WORDS)
async def test_a_command_in_a_chat_is_answered_each_time_in_its_language(localized, agent, name):
    agent.script = lambda _: [End()]
    chat = await localized.open_chat(name) if name in ON_THEIR_OWN else localized.onboarded.chat
    typed = twice(name)
    answers = await localized.tell(chat, *(body for body, _ in typed))
    for (_, keys), answer in zip(typed, answers, strict=True):
        localized.hears(keys, answer)


@pytest.mark.parametrize("name", WORDS)
async def test_a_command_in_the_entry_room_works_or_says_where_it_does(localized, name):
    typed = twice(name)
    answers = await localized.tell(localized.onboarded.entry, *(body for body, _ in typed))
    for (_, keys), answer in zip(typed, answers, strict=True):
        localized.hears(("only_in_chat",) if WORDS[name].chats_only else keys, answer)


async def test_any_other_word_gets_one_line_that_names_help(localized):
    for room in (localized.onboarded.chat, localized.onboarded.entry):
        for answer in await localized.tell(room, *(f"!{word}" for word in UNKNOWN)):
            localized.hears(("unknown_command",), answer)
            assert "!help" in answer.body
            assert "\n" not in answer.body


async def test_help_is_the_table_of_commands_in_the_words_of_the_language(localized):
    for room in (localized.onboarded.chat, localized.onboarded.entry):
        (answer,) = await localized.tell(room, "!help")
        assert answer.body == localized.catalog.help(COMMANDS)
        assert all(f"`!{name}" in answer.body for name in COMMANDS)

"""Texts that only look like commands, or are sent where commands are not allowed, run nothing (D5, K1, K10)."""

import re

import pytest

from tests.support.agent_script import End, Text, echo
from tests.support.matrix_user import MatrixUser
from tests.system.chat_commands.localized_user import texts_of
from tests.system.users import PASSWORD, children, text_of

pytestmark = [
    pytest.mark.anyio,
    # The kind of a message does not depend on the language of the answer.
    pytest.mark.parametrize("session_localized", ["en"], indirect=True, scope="session"),
]

COMMANDS = (
    "!new Spoofed",
    "!rename Spoofed",
    "!clear",
    "!soul Spoofed",
    "!skill off files",
    "!agent 1",
    "!save Spoofed",
    "!archive",
)
MARKS_BEFORE = (" ", "\t", "\n", "\u00a0", "\u200b", "\ufeff", "\u202e", "!", "\\", "`", "> ", "- ")
OTHER_MARKS = ("\uff01", "\u01c3", "\u00a1", "\u203c", "\u2757", "\ufe57")
OTHER_LETTERS = (
    str.maketrans("aecopsy", "аесорѕу"),  # Cyrillic
    str.maketrans("ks", "\u212a\u017f"),  # the Kelvin sign and the long s
    str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in "abcdefghijklmnopqrstuvwxyz"}),
)


async def visible_state(localized, agent):
    """Return everything that one of the commands would have changed, as user and agent see it."""
    chat = localized.onboarded.chat
    (answer,) = await localized.send_all(chat, "a plain question")
    request = agent.requests[-1]
    chats, settings, context = await localized.send_all(chat, "!chats", "!settings", "!context")
    return (
        text_of(answer),
        (request.chat_id, request.payload.get("settings")),
        (chats.body, settings.body, re.sub(r"; .*", "", context.body)),
        await localized.user.state_content(chat, "m.room.name"),
        await localized.user.rooms_invited(),
        sorted(await children(localized.user, localized.onboarded.space)),
    )


@pytest.fixture
async def chat(localized, agent):
    """The chat for all messages; the state must be the same at the end."""
    before = await visible_state(localized, agent)
    yield localized.onboarded.chat
    agent.script = echo
    assert await visible_state(localized, agent) == before


async def test_an_edit_is_no_command(localized, chat):
    page, answer = await localized.send_all(chat, "!help", "something")
    for command in COMMANDS:
        for original in (page.answers, answer.answers):
            await localized.user.edit(chat, original, command)
        # Not even an edit whose fallback body is exactly the command.
        relation = {"rel_type": "m.replace", "event_id": answer.answers}
        await localized.user.send_text(chat, command, **{"m.relates_to": relation})


async def test_a_quote_is_no_command(localized, chat):
    (page,) = await localized.send_all(chat, "!help")
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": page.event_id}}}
    for command in COMMANDS:
        quoted = f"> <{localized.onboarded.bot}> {command}\n> {command}\n\nwhat does that do?"
        assert (
            text_of(await localized.onboarded.ask(quoted, chat, **reply))
            == "echo: what does that do?"
        )


async def test_other_message_types_are_no_command(localized, chat):
    for command in COMMANDS:
        for msgtype in ("m.notice", "m.emote", "org.example.unheard"):
            content = {"msgtype": msgtype, "body": command}
            await localized.user.send_event(chat, "m.room.message", content)
        await localized.user.send_event(chat, "org.example.event", {"body": command})


async def test_the_answer_of_an_agent_is_no_command(localized, agent, chat):
    for command in COMMANDS:
        for words in (command, f"Well.\n\n{command}\n\n{command}"):
            agent.script = lambda _, words=words: [Text(words), End()]
            (answer,) = await localized.send_all(chat, "what should I type?")
            assert text_of(answer) == words


async def test_formatting_is_no_command(localized, chat):
    for command in COMMANDS:
        html = {"format": "org.matrix.custom.html", "formatted_body": f"<p>{command}</p>"}
        assert text_of(await localized.onboarded.ask("look", chat, **html)) == "echo: look"


async def test_a_text_that_does_not_begin_with_the_mark_is_for_the_agent(localized, agent, chat):
    typed = [f"{before}{command}" for before in MARKS_BEFORE for command in COMMANDS]
    requests_before = len(agent.requests)
    answers = await localized.send_all(chat, *typed)
    assert [request.text for request in agent.requests[requests_before:]] == typed
    assert {answer.msgtype for answer in answers} == {"m.text"}


async def test_another_mark_is_for_the_agent(localized, chat):
    typed = [f"{mark}{command[1:]}" for mark in OTHER_MARKS for command in COMMANDS]
    assert texts_of(await localized.send_all(chat, *typed)) == [f"echo: {body}" for body in typed]


async def test_a_command_with_look_alike_letters_is_unknown(localized, agent, chat):
    words = [command.partition(" ") for command in COMMANDS]
    typed = [
        f"{other} {argument}".rstrip()
        for letters in OTHER_LETTERS
        for word, _, argument in words
        if (other := word.translate(letters)) != word
    ]
    requests_before = len(agent.requests)
    for answer in await localized.send_all(chat, *typed):
        localized.assert_notice(("unknown_command",), answer)
    assert len(agent.requests) == requests_before
    assert len(typed) > len(COMMANDS)


async def test_another_user_in_the_chat_can_not_run_commands(localized, chat, make_user, synapse):
    other = await make_user()
    # Only the bot's account can invite.
    async with MatrixUser(synapse.url, localized.onboarded.bot, PASSWORD) as operator:
        await operator.invite(chat, other.user_id)
    await other.join(chat)
    asked = [await other.send_text(chat, command) for command in (*COMMANDS, "!stop", "!help")]
    await localized.send_all(chat, "is anybody there?")
    answered = {event.answers for event in await localized.user.messages(chat)}
    assert answered.isdisjoint(asked)
    await other.leave(chat)

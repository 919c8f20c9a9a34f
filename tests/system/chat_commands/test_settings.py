"""What a user chooses travels with his messages, in all of his chats and in nobody else's (contracts K4, K5)."""

import pytest

from machines.i18n import catalog_for
from tests.system.cast import onboard, said
from tests.system.chat_commands.guest import one_answer_each, open_chat, words_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
CHOSEN = {
    "soul": "Be brief.",
    "skills": {"browser": True, "files": False},
    "safety": {"email-send": False},
}
CHOICES = ("!soul Be brief.", "!skill on browser", "!skill off files", "!safety off email-send")


async def settings_of(agent, home, room=None):
    """Ask something and return the settings that the agent got with it."""
    answer = await home.ask("what do you know of me?", room)
    (request,) = [each for each in agent.requests if each.message_id == answer.answers]
    return request.payload.get("settings", {})


async def test_only_what_differs_from_the_defaults_travels_and_only_for_him(
    home, agent, make_person
):
    bob = await onboard(await make_person(), home.bot)
    other = await open_chat(home, "Other")
    assert await settings_of(agent, home) == {}
    for command in CHOICES:
        await home.tell(command)
    assert await settings_of(agent, home) == CHOSEN
    assert await settings_of(agent, home, other) == CHOSEN
    assert await settings_of(agent, bob) == {}
    for command in ("!skill on web-search", "!skill off browser", "!soul none"):
        await home.tell(command, home.entry)
    left = {"skills": {"files": False}, "safety": {"email-send": False}}
    assert await settings_of(agent, home) == left
    assert await settings_of(agent, bob) == {}


async def test_a_choice_holds_for_the_very_next_message_and_for_none_before_it(home, agent):
    said_at_once = ("one", "!soul x", "hello", "!skill off files", "and now?", "!soul none", "bye")
    asked = [await home.person.send_text(home.chat, body) for body in said_at_once]
    await one_answer_each(home.person, home.chat, asked)
    carried = {each.message_id: each.payload.get("settings", {}) for each in agent.requests}
    assert [carried[message_id] for message_id in asked[::2]] == [
        {},
        {"soul": "x"},
        {"soul": "x", "skills": {"files": False}},
        {"skills": {"files": False}},
    ]


async def test_the_snapshot_shows_what_was_chosen_and_changes_nothing(home, agent):
    def page(soul, skills, safety):
        return CATALOG.settings_page("Agent", skills, soul, safety)

    every = ("email-send", "file-delete", "social-post")
    assert await home.tell("!settings") == page("", ("web-search", "fetch-url", "files"), every)
    for command in CHOICES:
        await home.tell(command)
    chosen = page("Be brief.", ("web-search", "fetch-url", "browser"), every[1:])
    assert [await home.tell("!settings", room) for room in (home.chat, home.entry)] == [chosen] * 2
    assert await settings_of(agent, home) == CHOSEN


async def test_choices_outlive_a_kill(make_bot, person, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        home = await onboard(person, bot.user_id)
        asked = [await person.send_text(home.chat, command) for command in CHOICES]
        answers = await one_answer_each(person, home.chat, asked)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await settings_of(agent, home) == CHOSEN
        assert "Be brief." in await home.tell("!soul")
        assert said(answers[0]) == CATALOG.soul_set()
        assert words_of(await one_answer_each(person, home.chat, asked)) == words_of(answers)

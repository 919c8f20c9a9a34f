"""A user's choices are sent with their messages, in all of their chats and in no other (contracts K4, K5)."""

import pytest

from machines.i18n import catalog_for
from tests.system.chat_commands.localized_user import one_answer_each, open_chat, words_of
from tests.system.users import onboard, said

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
CHOSEN = {
    "soul": "Be brief.",
    "skills": {"browser": True, "files": False},
    "safety": {"email-send": False},
}
CHOICES = ("!soul Be brief.", "!skill on browser", "!skill off files", "!safety off email-send")


async def settings_of(agent, onboarded, room=None):
    """Ask something and return the settings that the agent got with it."""
    answer = await onboarded.ask("what do you know of me?", room)
    (request,) = [each for each in agent.requests if each.message_id == answer.answers]
    return request.payload.get("settings", {})


async def test_only_what_differs_from_the_defaults_travels_and_only_for_him(
    onboarded, agent, make_person
):
    bob = await onboard(await make_person(), onboarded.bot)
    other = await open_chat(onboarded, "Other")
    assert await settings_of(agent, onboarded) == {}
    for command in CHOICES:
        await onboarded.tell(command)
    assert await settings_of(agent, onboarded) == CHOSEN
    assert await settings_of(agent, onboarded, other) == CHOSEN
    assert await settings_of(agent, bob) == {}
    for command in ("!skill on web-search", "!skill off browser", "!soul none"):
        await onboarded.tell(command, onboarded.entry)
    left = {"skills": {"files": False}, "safety": {"email-send": False}}
    assert await settings_of(agent, onboarded) == left
    assert await settings_of(agent, bob) == {}


async def test_a_choice_holds_for_the_very_next_message_and_for_none_before_it(onboarded, agent):
    said_at_once = ("one", "!soul x", "hello", "!skill off files", "and now?", "!soul none", "bye")
    asked = [await onboarded.person.send_text(onboarded.chat, body) for body in said_at_once]
    await one_answer_each(onboarded.person, onboarded.chat, asked)
    carried = {each.message_id: each.payload.get("settings", {}) for each in agent.requests}
    assert [carried[message_id] for message_id in asked[::2]] == [
        {},
        {"soul": "x"},
        {"soul": "x", "skills": {"files": False}},
        {"skills": {"files": False}},
    ]


async def test_the_snapshot_shows_what_was_chosen_and_changes_nothing(onboarded, agent):
    def page(soul, skills, safety):
        return CATALOG.settings_page("Agent", skills, soul, safety)

    every = ("email-send", "file-delete", "social-post")
    assert await onboarded.tell("!settings") == page(
        "", ("web-search", "fetch-url", "files"), every
    )
    for command in CHOICES:
        await onboarded.tell(command)
    chosen = page("Be brief.", ("web-search", "fetch-url", "browser"), every[1:])
    assert [
        await onboarded.tell("!settings", room) for room in (onboarded.chat, onboarded.entry)
    ] == [chosen] * 2
    assert await settings_of(agent, onboarded) == CHOSEN


async def test_choices_outlive_a_kill(make_bot, person, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(person, bot.user_id)
        asked = [await person.send_text(onboarded.chat, command) for command in CHOICES]
        answers = await one_answer_each(person, onboarded.chat, asked)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await settings_of(agent, onboarded) == CHOSEN
        assert "Be brief." in await onboarded.tell("!soul")
        assert said(answers[0]) == CATALOG.soul_set()
        assert words_of(await one_answer_each(person, onboarded.chat, asked)) == words_of(answers)

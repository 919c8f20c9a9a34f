"""A user's choices are sent with their messages, in all of their chats and in no other (contracts K4, K5)."""

import pytest

from machines.i18n import catalog_for
from tests.system.chat_commands.localized_user import one_answer_each, open_chat, texts_of
from tests.system.users import onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
CHOSEN = {
    "soul": "Be brief.",
    "skills": {"browser": True, "files": False},
    "safety": {"email-send": False},
}
CHOICES = ("!soul Be brief.", "!skill on browser", "!skill off files", "!safety off email-send")


async def settings_of(agent, onboarded, room=None):
    """Send a message and return the settings that the agent got with it."""
    answer = await onboarded.ask("what do you know of me?", room)
    (request,) = [each for each in agent.requests if each.message_id == answer.answers]
    return request.payload.get("settings", {})


async def test_only_settings_other_than_the_defaults_are_sent_and_only_for_their_user(
    onboarded, agent, make_user
):
    bob = await onboard(await make_user(), onboarded.bot)
    other = await open_chat(onboarded, "Other")
    assert await settings_of(agent, onboarded) == {}
    for command in CHOICES:
        await onboarded.run_command(command)
    assert await settings_of(agent, onboarded) == CHOSEN
    assert await settings_of(agent, onboarded, other) == CHOSEN
    assert await settings_of(agent, bob) == {}
    for command in ("!skill on web-search", "!skill off browser", "!soul none"):
        await onboarded.run_command(command, onboarded.entry)
    left = {"skills": {"files": False}, "safety": {"email-send": False}}
    assert await settings_of(agent, onboarded) == left
    assert await settings_of(agent, bob) == {}


async def test_a_setting_applies_from_the_next_message_on(onboarded, agent):
    typed = ("one", "!soul x", "hello", "!skill off files", "and now?", "!soul none", "bye")
    asked = [await onboarded.user.send_text(onboarded.chat, body) for body in typed]
    await one_answer_each(onboarded.user, onboarded.chat, asked)
    carried = {each.message_id: each.payload.get("settings", {}) for each in agent.requests}
    assert [carried[message_id] for message_id in asked[::2]] == [
        {},
        {"soul": "x"},
        {"soul": "x", "skills": {"files": False}},
        {"skills": {"files": False}},
    ]


async def test_the_settings_page_shows_the_settings_and_changes_nothing(onboarded, agent):
    def page(soul, skills, safety):
        return CATALOG.settings_page("Lambda", skills, soul, safety)

    every = ("email-send", "file-delete", "social-post")
    assert await onboarded.run_command("!settings") == page(
        "", ("web-search", "fetch-url", "files"), every
    )
    for command in CHOICES:
        await onboarded.run_command(command)
    chosen = page("Be brief.", ("web-search", "fetch-url", "browser"), every[1:])
    assert [
        await onboarded.run_command("!settings", room) for room in (onboarded.chat, onboarded.entry)
    ] == [chosen] * 2
    assert await settings_of(agent, onboarded) == CHOSEN


async def test_settings_survive_a_kill(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        asked = [await user.send_text(onboarded.chat, command) for command in CHOICES]
        answers = await one_answer_each(user, onboarded.chat, asked)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        assert await settings_of(agent, onboarded) == CHOSEN
        assert "Be brief." in await onboarded.run_command("!soul")
        assert text_of(answers[0]) == CATALOG.soul_set()
        assert texts_of(await one_answer_each(user, onboarded.chat, asked)) == texts_of(answers)

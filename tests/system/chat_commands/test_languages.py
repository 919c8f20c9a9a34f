"""A user chooses the language of everything that the bot and the mock agent say to them (contract K13)."""

import pytest

from machines.i18n import TEMPLATES, catalog_for
from tests.support.agent_script import End, Text
from tests.system.chat_commands.localized_user import open_chat
from tests.system.chat_commands.phrases import help_page
from tests.system.users import onboard, text_of

pytestmark = pytest.mark.anyio

ENGLISH, RUSSIAN = catalog_for("en", "Lambda"), catalog_for("ru", "Lambda")
CHOICES = tuple(catalog_for(each, "Lambda") for each in TEMPLATES)


async def test_a_choice_applies_in_every_room_of_the_user_and_is_sent_to_the_agent(
    onboarded, agent, make_user
):
    bob = await onboard(await make_user(), onboarded.bot)
    assert await onboarded.run_command("!language") == ENGLISH.language_shown(CHOICES)
    assert await onboarded.run_command("!language ru", onboarded.entry) == RUSSIAN.language_set()
    for room in (onboarded.chat, onboarded.entry):
        page = help_page(RUSSIAN, in_chat=room == onboarded.chat)
        assert await onboarded.run_command("!help", room) == page
        assert "Язык: русский" in await onboarded.run_command("!settings", room)
        assert await onboarded.run_command("!language", room) == RUSSIAN.language_shown(CHOICES)
    chat = await open_chat(onboarded)
    assert (await onboarded.user.state_content(chat, "m.room.name"))["name"] == "Чат 2"
    agent.script = lambda request: [Text(str(request.payload.get("settings"))), End()]
    assert text_of(await onboarded.ask("hello", chat)) == "{'language': 'ru'}"
    assert await onboarded.run_command("!language en", chat) == ENGLISH.language_set()
    assert text_of(await onboarded.ask("hello", chat)) in ("None", "{}")
    assert await bob.run_command("!nonsense") == ENGLISH.unknown_command("nonsense")


async def test_a_choice_survives_a_kill_and_another_configured_language(make_bot, make_user):
    bot = await make_bot(MATRIX_PLATFORM_BACKEND="mock", SURFACES_LOCALE="ru")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        ann = await onboard(await make_user(), bot.user_id)
        bob = await onboard(await make_user(), bot.user_id)
        assert await ann.run_command("!nonsense") == RUSSIAN.unknown_command("nonsense")
        assert text_of(await bob.ask("hello")).startswith("Здравствуйте! Вы написали: hello")
        assert await ann.run_command("!language en") == ENGLISH.language_set()
        assert text_of(await ann.ask("hello")).startswith("Hello! You said: hello")
        # The configured language is stored as well, though it changes nothing now.
        assert await bob.run_command("!language ru") == RUSSIAN.language_set()
        await daemon.kill()
        daemon.environment["SURFACES_LOCALE"] = "en"
        await daemon.start()
        await daemon.wait_live()
        assert await ann.run_command("!nonsense") == ENGLISH.unknown_command("nonsense")
        assert await bob.run_command("!nonsense") == RUSSIAN.unknown_command("nonsense")
        assert "Вы написали: hello" in text_of(await bob.ask("hello"))


async def test_an_archived_chat_refuses_and_says_how_to_open_it_again(onboarded):
    number = 1
    assert await onboarded.run_command("!archive now") == ENGLISH.no_argument("archive")
    assert await onboarded.run_command("!archive") == ENGLISH.archived_now(number)
    name = await onboarded.user.state_content(onboarded.chat, "m.room.name")
    for body in ("!rename Other", "!clear", "!save x", "hello", "!archive"):
        assert await onboarded.run_command(body) == ENGLISH.chat_is_archived(number)
    assert await onboarded.user.state_content(onboarded.chat, "m.room.name") == name


async def test_load_picks_at_once_by_number_or_name(onboarded, agent):
    agent.script = lambda _: [End(7)]
    await onboarded.run_command("!save lunch")
    await onboarded.run_command("!save Dinner")
    assert await onboarded.run_command("!load 1") == ENGLISH.load_picked("lunch")
    assert await onboarded.run_command("!load dinner") == ENGLISH.load_picked("Dinner")
    wrong = ENGLISH.load_unknown("3", ("lunch", "Dinner"))
    assert await onboarded.run_command("!load 3") == wrong

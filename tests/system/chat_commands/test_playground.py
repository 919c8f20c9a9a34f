"""The built-in agent: every phrase has its effect in the room (contract A6)."""

import anyio
import pytest

from agent_platform import MOCK_PHRASES
from agent_platform.mock.sample_text import long_text
from machines.i18n import catalog_for
from tests.system.chat_commands.localized_user import open_chat
from tests.system.users import notice, onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
RETRY_S = "4"


async def played(onboarded, phrases):
    """Send all phrases at once, each in a separate chat; return the answers by phrase."""
    answers = {}

    async def play(phrase, room):
        answers[phrase] = text_of(await onboarded.ask(phrase, room))

    rooms = {phrase: await open_chat(onboarded, phrase) for phrase in phrases}
    async with anyio.create_task_group() as tasks:
        for phrase, room in rooms.items():
            tasks.start_soon(play, phrase, room)
    return rooms, answers


async def test_every_phrase_of_the_playground_works_end_to_end(make_bot, user, tmp_path):
    bot = await make_bot(
        MATRIX_PLATFORM_BACKEND="mock",
        AGENT_BASE_URL="",
        AGENT_RETRY_S=RETRY_S,
        AGENT_TIMEOUT_S="2",
        SURFACES_WORKSPACE_DIR=str(tmp_path / "agents"),
    )
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        welcome = await notice(user, onboarded.chat)
        for text in (welcome.body, CATALOG.mock_hint()):
            assert all(f"`{phrase}" in text for phrase in ("long", "tool", "confirm", "context"))

        phrases = (
            "hello", "long 1500", "confirm send it", "tool", "tool browser", "file", "context",
            "slow 1", "busy", "break", "fail", "empty", "silent",
        )  # fmt: skip
        assert {phrase.split()[0] for phrase in MOCK_PHRASES} == {
            phrase.split()[0] for phrase in phrases[1:]
        }
        await onboarded.run_command("!soul Be kind.")
        await onboarded.run_command("!skill off files")
        rooms, answers = await played(onboarded, phrases)

        def echo(phrase):
            return f"(Be kind.) Hello! You said: {phrase}\n\nThis is message 1 of our conversation."

        assert answers["hello"] == echo("hello")
        assert answers["long 1500"] == long_text(1500)
        assert answers["tool"] == "I used web-search, and it worked."
        assert "Here is a file for you." in answers["file"]
        assert '"soul": "Be kind."' in answers["context"]
        assert '"files": false' in answers["context"]
        assert answers["slow 1"] == "That took me 1 s."
        assert [answers[phrase] for phrase in ("busy", "break")] == [echo("busy"), echo("break")]
        assert answers["fail"] == CATALOG.agent_error("MOCK_FAILURE")
        assert answers["empty"] == CATALOG.empty_answer()
        assert answers["silent"] == CATALOG.agent_gave_up("silent")
        assert "May I do this: send it?" in answers["confirm send it"]
        asked_in = rooms["confirm send it"]
        assert text_of(await onboarded.ask("!yes", asked_in)) == "Thank you. I did it: send it."
        assert await onboarded.run_command("!yes", asked_in) == CATALOG.no_open_question()

        saved = await onboarded.run_command("!save lunch", rooms["hello"])
        assert saved.startswith(CATALOG.save_done("lunch"))
        await onboarded.run_command("!load", rooms["hello"])
        picked = await onboarded.run_command("1", rooms["hello"])
        assert picked.startswith(CATALOG.load_picked("lunch"))
        # The context of a cleared chat is empty: the saves of the old one are not available.
        for command in ("!clear", "!load"):
            await onboarded.run_command(command, rooms["hello"])
        failed = await onboarded.run_command("1", rooms["hello"])
        assert failed == CATALOG.load_failed("lunch", "CONTEXT_UNKNOWN")

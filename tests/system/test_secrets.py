"""No message text and no credential is in the log, at any level (contract E9)."""

import json

import pytest

from tests.support.agent_script import (
    End,
    Error,
    Raw,
    Text,
)
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Answer
from tests.system.users import PASSWORD, onboard

pytestmark = pytest.mark.anyio

ASKED = "marmalade-in-the-question"
ANSWERED = "saffron-in-the-answer"
REFUSED = "cardamom-in-the-error"
COMMANDED = "vanilla_in_the_command"


def answer(request):
    """Fail in every way in which the text of an agent could be logged."""
    if "code" in request.text:
        yield Error("NO_SUCH_DISH", f"details: {REFUSED}")
    elif "frame" in request.text and request.message_id not in seen:
        seen.add(request.message_id)
        yield Raw(f'{{"type": "AGENT_EVENT_TEXT_CHUNK", "text": {REFUSED}')
    else:
        yield Text(ANSWERED)
        yield End()


seen: set[str] = set()


async def test_the_debug_log_has_no_secret_and_no_message(make_bot, user, agent, synapse):
    agent.script = answer
    bot = await make_bot(SURFACES_LOG_LEVEL="debug")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id, name="a name\x1b[2J\nof several lines")
        await onboarded.ask(ASKED)
        await onboarded.ask(f"{ASKED} code")
        await onboarded.ask(f"{ASKED} frame")
        await onboarded.run_command(f"!rename {COMMANDED}")
        await onboarded.run_command(f"!{COMMANDED}")
        # Malformed, so that the bot logs an error about it.
        await user.send_text(onboarded.chat, ASKED, **{"m.relates_to": ASKED})
        encrypted = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": ASKED}
        await user.send_event(onboarded.chat, "m.room.encrypted", encrypted)
        await onboarded.ask("the last one")
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()
        tokens = {
            json.loads(path.read_text())["access_token"]
            for path in daemon.directory.rglob("session.json")
        }
        assert len(tokens) == 1
        # The token is valid for the bot's account.
        async with MatrixUser(
            synapse.url, bot.user_id, access_token=next(iter(tokens))
        ) as operator:
            assert operator.user_id == bot.user_id
        assert await daemon.stop() == 0
        assert daemon.other_output == []
        assert daemon.lines("event_quarantined")
        for line in daemon.log:
            assert {"event", "level", "timestamp"} <= line.keys()
            shown = json.dumps(line, ensure_ascii=False)
            for secret in (PASSWORD, *tokens, ASKED, ANSWERED, REFUSED, COMMANDED):
                assert secret not in shown


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_control_characters_of_others_can_not_move_a_terminals_cursor(
    make_bot, user, proxy, log_format
):
    bot = await make_bot(SURFACES_LOG_FORMAT=log_format, MATRIX_HOMESERVER=proxy.url)
    refusal = {"errcode": "M_FORBIDDEN", "error": "\x1b[2J\x1b[Hroot logged in\u202e\u2028"}
    proxy.fault = lambda proxied: (
        Answer(403, json.dumps(refusal).encode()) if "/send/" in proxied.path else None
    )
    async with bot.daemon as daemon:
        await user.create_room(invite=[bot.user_id])
        await proxy.wait_until(lambda: bool(proxy.faulted))
        assert await daemon.stop() == 0
        shown = daemon.other_output + [json.dumps(line, ensure_ascii=False) for line in daemon.log]
        assert any("root logged in" in line for line in shown)
        assert all(line.isprintable() for line in shown)


async def test_credentials_that_are_refused_are_not_shown(make_bot):
    bot = await make_bot(MATRIX_PASSWORD="hush-hush-9471", SURFACES_LOG_LEVEL="debug")
    async with bot.daemon as daemon:
        assert await daemon.wait_ended() == 3
        everything = [*map(json.dumps, daemon.log), *daemon.other_output]
        assert everything
        assert not any("hush-hush-9471" in line for line in everything)

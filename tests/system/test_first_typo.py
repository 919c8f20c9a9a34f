"""A wrong account or homeserver in the first configuration is corrected by correcting it (contracts L2, L12)."""

import json

import pytest

from sandbox.ports import free_port
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Hold
from tests.system.users import PASSWORD, onboard

pytestmark = pytest.mark.anyio

LOGIN = "/_matrix/client/v3/login"
WRONG = {
    "user": {"MATRIX_USER_ID": "@lamdba-of-no-such-name:localhost"},
    "user of another server": {"MATRIX_USER_ID": "@bot:exampel.org"},
    "password": {"MATRIX_PASSWORD": "not the password"},
    "token": {"MATRIX_PASSWORD": "", "MATRIX_ACCESS_TOKEN": "syt_no_such_token"},
}


async def devices(synapse, bot):
    """Return the account's devices, without the one of this request."""
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
        own = operator.device_id
        found = [each["device_id"] for each in await operator.devices()]
        await operator.request("POST", "/logout", {})
        return [each for each in found if each != own]


def stored_session(bot):
    """Return the content of the session file."""
    return json.loads((bot.daemon.directory / "matrix_store" / "session.json").read_text())


async def answers_after_correction(bot, synapse, user):
    """Start the corrected daemon; it works, as one device."""
    await bot.daemon.start()
    await bot.daemon.wait_live()
    await (await onboard(user, bot.user_id)).ask("hello")
    session = stored_session(bot)
    assert session["user_id"] == bot.user_id
    assert await devices(synapse, bot) == [session["device_id"]]
    assert await bot.daemon.stop() == 0
    await bot.daemon.start()
    await bot.daemon.wait_live()
    assert await devices(synapse, bot) == [session["device_id"]]


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_wrong_account_is_replaced_by_the_right_one(make_bot, synapse, user, wrong):
    bot = await make_bot()
    right = dict(bot.daemon.environment)
    bot.daemon.environment |= wrong
    await bot.daemon.start()
    assert await bot.daemon.wait_ended() == 3
    assert "reset" not in bot.daemon.other_output[-1]
    bot.daemon.environment = right
    await answers_after_correction(bot, synapse, user)


@pytest.mark.parametrize("kind", ["unreachable", "no homeserver"])
async def test_a_wrong_homeserver_is_replaced_by_the_right_one(
    make_bot, synapse, user, agent, kind
):
    url = agent.url.replace("ws", "http") if kind == "no homeserver" else None
    bot = await make_bot()
    right = dict(bot.daemon.environment)
    bot.daemon.environment["MATRIX_HOMESERVER"] = url or f"http://127.0.0.1:{free_port()}"
    await bot.daemon.start()
    await bot.daemon.wait_log(lambda line: line["event"] == "homeserver_unreachable")
    assert await bot.daemon.stop() == 0
    bot.daemon.environment = right
    await answers_after_correction(bot, synapse, user)


async def test_another_homeserver_that_does_not_know_the_account_is_replaced(
    make_bot, synapse, user
):
    bot = await make_bot()
    right = dict(bot.daemon.environment)
    async with Synapse(server_name="elsewhere.test") as elsewhere:
        bot.daemon.environment["MATRIX_HOMESERVER"] = elsewhere.url
        await bot.daemon.start()
        assert await bot.daemon.wait_ended() == 3
    bot.daemon.environment = right
    await answers_after_correction(bot, synapse, user)


async def test_a_typo_between_an_interrupted_login_and_the_next_makes_no_second_device(
    make_bot, synapse, proxy, user
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    proxy.fault = lambda proxied: Hold(done=True) if proxied.path == LOGIN else None
    await bot.daemon.start()
    await proxy.wait_until(lambda: bool(proxy.faulted))
    await bot.daemon.kill()
    proxy.clear_fault()
    (device,) = await devices(synapse, bot)
    right = dict(bot.daemon.environment)
    bot.daemon.environment |= WRONG["user"]
    await bot.daemon.start()
    assert await bot.daemon.wait_ended() == 3
    bot.daemon.environment = right | {"MATRIX_HOMESERVER": synapse.url}
    await answers_after_correction(bot, synapse, user)
    assert await devices(synapse, bot) == [device]


async def test_a_session_that_was_logged_in_is_not_replaced(make_bot, synapse):
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    assert await bot.daemon.stop() == 0
    session = stored_session(bot)
    bot.daemon.environment |= WRONG["user"]
    await bot.daemon.start()
    assert await bot.daemon.wait_ended() == 2
    assert stored_session(bot) == session
    assert bot.user_id in bot.daemon.other_output[-1]
    assert "MATRIX_STORE_PATH" in bot.daemon.other_output[-1]

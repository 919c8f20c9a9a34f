"""One account, one device, however often the daemon starts and however it ends (contracts L2, L10, E1)."""

import anyio
import pytest

from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Hold
from tests.system.conftest import register_bot
from tests.system.users import PASSWORD, notice, onboard

pytestmark = pytest.mark.anyio

RENEWED = ["login", "initial_sync", "reconcile", "live", "login", "live"]
STARTS = 11
LOGIN = "/_matrix/client/v3/login"


async def devices(synapse, bot):
    """Return the account's devices, without the one of this request."""
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
        own = operator.device_id
        return [each["device_id"] for each in await operator.devices() if each["device_id"] != own]


def device_of(daemon):
    """Return the device in the log line of the last login."""
    changes = [line for line in daemon.lines("bot_state_changed") if line["to"] == "initial_sync"]
    return changes[-1]["reason"].rpartition(" ")[2]


async def test_ten_restarts_make_no_second_device(make_bot, synapse):
    bot = await make_bot()
    async with bot.daemon as daemon:
        text_of = set()
        for start in range(STARTS):
            await daemon.wait_live()
            text_of.add(device_of(daemon))
            if start % 2:
                await daemon.kill()
            else:
                assert await daemon.stop() == 0
            await daemon.start()
        await daemon.wait_live()
        assert await devices(synapse, bot) == [*text_of]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_kill_during_the_very_first_login_makes_no_second_device(
    make_bot, synapse, proxy, done
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    proxy.fault = lambda proxied: Hold(done) if proxied.path == LOGIN else None
    async with bot.daemon as daemon:
        await proxy.wait_until(lambda: bool(proxy.faulted))
        await daemon.kill()
        proxy.clear_fault()
        await daemon.start()
        await daemon.wait_live()
        assert await devices(synapse, bot) == [device_of(daemon)]


async def test_a_token_brings_its_device_with_it(make_bot, user, synapse):
    bot = await make_bot(MATRIX_PASSWORD="")
    async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
        bot.daemon.environment["MATRIX_ACCESS_TOKEN"] = operator.access_token or ""
        async with bot.daemon as daemon:
            await daemon.wait_live()
            assert device_of(daemon) == operator.device_id
            await (await onboard(user, bot.user_id)).ask("hello")
            await daemon.stop()
            await daemon.start()
            await daemon.wait_live()
            assert await devices(synapse, bot) == [operator.device_id]


async def test_a_session_that_ends_softly_is_renewed_on_the_same_device(agent, tmp_path):
    settings = {"session_lifetime": "4s", "refreshable_access_token_lifetime": "2s"}
    async with Synapse(settings=settings) as synapse:
        bot = await register_bot(synapse, tmp_path, agent)
        user_id = await synapse.register("ann", PASSWORD)
        async with bot.daemon as daemon:
            await daemon.wait_live()
            # The session ends while the bot is working.
            with anyio.fail_after(60):
                while len(states := daemon.lines("bot_state_changed")) < len(RENEWED):
                    async with MatrixUser(synapse.url, user_id, PASSWORD) as ann:
                        entry = await ann.create_room(invite=[bot.user_id])
                        await notice(ann, entry)
            assert [line["to"] for line in states[: len(RENEWED)]] == RENEWED
            assert await devices(synapse, bot) == [device_of(daemon)]


async def test_a_session_that_is_ended_for_good_ends_the_daemon(make_bot, synapse):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        async with MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
            await operator.request("POST", "/logout/all", {})
        assert await daemon.wait_ended() == 3
        assert daemon.lines("bot_state_changed")[-1]["to"] == "failed"
        assert len(daemon.other_output) == 1
        await daemon.start()
        assert await daemon.wait_ended() == 3
        assert "surfaces-bot reset" in daemon.other_output[-1]
        assert await devices(synapse, bot) == []

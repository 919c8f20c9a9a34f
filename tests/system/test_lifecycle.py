"""The states of a daemon from start to stop, as its log shows them (contracts L1, L3, L4, L6, L8, L11)."""

import itertools
import signal
import time

import pytest

from tests.support.proxy import Answer
from tests.system.users import onboard

pytestmark = pytest.mark.anyio

UP = ["login", "initial_sync", "reconcile", "live"]
PROMPTLY_S = 5.0


def states(daemon):
    """Return the states of the newest process."""
    pid = daemon.log[-1]["pid"]
    changes = [line for line in daemon.lines("bot_state_changed") if line["pid"] == pid]
    assert all(line["reason"] for line in changes)
    assert all(later["from"] == earlier["to"] for earlier, later in itertools.pairwise(changes))
    return [line["to"] for line in changes]


async def test_a_process_goes_through_its_states_in_order(make_bot):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        assert states(daemon) == UP
        events = [line["event"] for line in daemon.log]
        assert events.count("matrix_reconcile_complete") == 1
        assert events.index("matrix_reconcile_complete") < events.index("bot_live")
        (report,) = daemon.lines("matrix_reconcile_complete")
        assert {
            "spaces",
            "rooms_recovered",
            "rooms_unchanged",
            "backfilled",
            "conflicts",
            "skipped",
            "duration_s",
        } <= report.keys()
        assert await daemon.stop() == 0
        assert states(daemon) == [*UP, "draining", "stopped"]
        await daemon.start()
        await daemon.wait_live()
        assert daemon.lines("bot_state_changed")[len(UP) + 2]["from"] == "stopped"


async def test_it_syncs_all_state_once_and_then_polls(make_bot, user, proxy):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        await onboarded.ask("hello")
        first, *others = [each for each in proxy.requests if each.path.endswith("/v3/sync")]
        assert (first.query["timeout"], first.query["full_state"]) == ("0", "true")
        assert {each.query["timeout"] for each in others} == {"30000"}
        assert {each.query.get("full_state") for each in others} == {None}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_an_idle_daemon_at_once(make_bot, number):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        asked = time.monotonic()
        daemon.send_signal(number)
        assert await daemon.wait_ended() == 0
        assert time.monotonic() - asked < PROMPTLY_S
        assert states(daemon)[-2:] == ["draining", "stopped"]


async def test_a_daemon_that_is_not_live_yet_can_be_stopped_too(make_bot, proxy):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    proxy.fault = lambda proxied: Answer(502, b"<html>out of order</html>")
    async with bot.daemon as daemon:
        await proxy.wait_until(lambda: bool(proxy.faulted))
        asked = time.monotonic()
        assert await daemon.stop() == 0
        assert time.monotonic() - asked < PROMPTLY_S
        assert states(daemon) == ["login", "draining", "stopped"]


async def test_a_second_daemon_on_one_database_ends(make_bot, user):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        first = daemon.pid
        second = type(daemon)(daemon.directory, daemon.environment)
        began = time.monotonic()
        async with second:
            assert await second.wait_ended() == 5
        assert time.monotonic() - began < PROMPTLY_S
        assert len(second.other_output) == 1
        assert "another daemon" in second.other_output[0]
        assert str(first) in second.other_output[0]
        # The first daemon is not affected.
        await (await onboard(user, bot.user_id)).ask("still there?")
        await daemon.kill()
        await daemon.start()
        await daemon.wait_live()

"""Each start reconciles once, before any message (contract L4)."""

from datetime import datetime

import pytest

from tests.support.proxy import Hold, Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.conftest import MakeInternals
from tests.system.users import answer_to, onboard

pytestmark = pytest.mark.anyio


def at(line) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@pytest.fixture
async def internals(make_internals: MakeInternals, proxy: Proxy) -> BotInternals:
    """A bot behind a proxy, which can hold the writes of reconciliation."""
    return await make_internals(MATRIX_HOMESERVER=proxy.url)


@pytest.mark.parametrize("cold", [False, True], ids=["with its database", "without"])
async def test_messages_sent_while_the_bot_was_down_wait_for_reconciliation(
    internals, proxy, agent, user, cold
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await onboarded.ask("before")
    await internals.bot.daemon.stop()
    asked = [
        await user.send_text(onboarded.chat, text) for text in ("while you were away", "!help")
    ]
    if cold:
        internals.lose_database()
    await internals.bind(onboarded.chat, {})
    proxy.fault = lambda proxied: (
        Hold() if proxied.write and "/account_data/" in proxied.path else None
    )
    earlier = len(proxy.requests)
    await internals.bot.daemon.start()
    await proxy.wait_until(lambda: len(proxy.faulted) == 1)
    # The bot is in the middle of its reconciliation, and all messages wait.
    seen = await internals.inspect()
    assert seen["bot"]["state"] == "reconcile"
    assert seen["bot"]["inbox_pending"] >= 2
    assert seen["bot"]["turns"] == 0
    assert internals.bot.daemon.lines("bot_live")[1:] == []
    writes = {each.path.split("/")[-1] for each in proxy.requests[earlier:] if each.write}
    assert writes == {"org.lambda.surfaces.room"}
    proxy.clear_fault()
    for message_id in asked:
        await answer_to(user, onboarded.chat, message_id)
    complete = at(internals.report())
    requests = [each for each in agent.requests if each.message_id == asked[0]]
    assert len(requests) == 1
    assert requests[0].at > complete
    sent = [each for each in proxy.requests[earlier:] if "/send/" in each.path]
    assert sent
    assert min(each.at for each in sent) > complete


async def test_each_start_reconciles_once_between_the_first_sync_and_going_live(internals):
    await internals.start()
    await internals.bot.daemon.stop()
    await internals.start()
    lines = internals.bot.daemon.log
    pid = internals.bot.daemon.pid
    seen = [
        line["to"] if line["event"] == "bot_state_changed" else line["event"]
        for line in lines
        if line["pid"] == pid
        and line["event"] in ("bot_state_changed", "matrix_reconcile_complete", "bot_live")
    ]
    assert seen == [
        "login",
        "initial_sync",
        "reconcile",
        "matrix_reconcile_complete",
        "live",
        "bot_live",
    ]
    report = set(internals.report())
    assert report >= {
        "spaces",
        "rooms_recovered",
        "rooms_unchanged",
        "backfilled",
        "conflicts",
        "skipped",
        "duration_s",
    }

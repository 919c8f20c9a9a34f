"""Reconciliation comes before any message, once a start (contract L4)."""

from datetime import datetime

import pytest

from tests.support.proxy import Hold, Proxy
from tests.system.cast import answer_to, onboard
from tests.system.recovery.backstage import Backstage
from tests.system.recovery.conftest import MakeBackstage

pytestmark = pytest.mark.anyio


def at(line) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@pytest.fixture
async def backstage(make_backstage: MakeBackstage, proxy: Proxy) -> Backstage:
    """A bot behind a proxy, which can hold up what reconciliation writes."""
    return await make_backstage(MATRIX_HOMESERVER=proxy.url)


@pytest.mark.parametrize("cold", [False, True], ids=["with its database", "without"])
async def test_what_came_while_the_bot_was_down_waits_for_reconciliation(
    backstage, proxy, agent, person, cold
):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    await home.ask("before")
    await backstage.bot.daemon.stop()
    asked = [await person.send_text(home.chat, text) for text in ("while you were away", "!help")]
    if cold:
        backstage.lose_database()
    await backstage.bind(home.chat, {})
    proxy.fault = lambda proxied: (
        Hold() if proxied.write and "/account_data/" in proxied.path else None
    )
    earlier = len(proxy.requests)
    await backstage.bot.daemon.start()
    await proxy.wait_until(lambda: len(proxy.faulted) == 1)
    # The bot is in the middle of its reconciliation, and all that it has is waiting.
    seen = await backstage.inspect()
    assert seen["bot"]["state"] == "reconcile"
    assert seen["bot"]["inbox_pending"] >= 2
    assert seen["bot"]["turns"] == 0
    assert backstage.bot.daemon.lines("bot_live")[1:] == []
    writes = {each.path.split("/")[-1] for each in proxy.requests[earlier:] if each.write}
    assert writes == {"org.lambda.surfaces.room"}
    proxy.clear_fault()
    for message_id in asked:
        await answer_to(person, home.chat, message_id)
    complete = at(backstage.report())
    requests = [each for each in agent.requests if each.message_id == asked[0]]
    assert len(requests) == 1
    assert requests[0].at > complete
    sent = [each for each in proxy.requests[earlier:] if "/send/" in each.path]
    assert sent
    assert min(each.at for each in sent) > complete


async def test_each_start_reconciles_once_between_the_first_sync_and_going_live(backstage):
    await backstage.start()
    await backstage.bot.daemon.stop()
    await backstage.start()
    lines = backstage.bot.daemon.log
    pid = backstage.bot.daemon.pid
    story = [
        line["to"] if line["event"] == "bot_state_changed" else line["event"]
        for line in lines
        if line["pid"] == pid
        and line["event"] in ("bot_state_changed", "matrix_reconcile_complete", "bot_live")
    ]
    assert story == [
        "login",
        "initial_sync",
        "reconcile",
        "matrix_reconcile_complete",
        "live",
        "bot_live",
    ]
    report = set(backstage.report())
    assert report >= {
        "spaces",
        "rooms_recovered",
        "rooms_unchanged",
        "backfilled",
        "conflicts",
        "skipped",
        "duration_s",
    }

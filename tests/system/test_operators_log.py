"""The log of the real daemon tells an operator what happened to people, and why (contracts L12, E9, S4)."""

import asyncio
import json
import os
import pty
import sys

import pytest

from tests.system.log_story import SECRET, installation, play
from tests.system.users import PASSWORD, accept

pytestmark = pytest.mark.anyio

TURN = {"timestamp", "level", "event", "room_id", "turn", "agent", "duration_s", "outcome"}


async def test_every_fault_is_in_the_log_once_with_what_helps(tmp_path):
    async with installation(tmp_path, "json") as story:
        await play(story)
        log = [json.loads(line) for line in story.lines()[:-1]]
        last, url = story.lines()[-1], story.proxy.url
        coder, bot, anna = story.coder.url, story.bot.user_id, story.anna.user_id
        mallory = story.mallory.user_id

    def of(event, **fields):
        lines = [line for line in log if line["event"] == event]
        return [line for line in lines if fields.items() <= line.items()]

    # People
    (rejected,) = of("invite_rejected", level="info", sender=mallory)
    assert "MATRIX_ALLOWED_USERS" in rejected["reason"]
    (accepted,) = of("invite_accepted", level="info")
    assert (accepted["sender"], accepted["room_id"] != rejected["room_id"]) == (anna, True)
    made = of("chat_made", level="info", matrix_user_id=anna)
    assert [(line["chat_id"], line["agent"]) for line in made] == [
        ("C1", "helper"),
        ("C2", "coder"),
    ]
    assert all(line["room_id"] and line["space_id"] for line in made)
    # Turns
    ends = of("turn_ended", level="info")
    assert all(set(line) - {"fault"} == TURN for line in ends)
    assert len({line["turn"] for line in ends}) == len(ends)
    assert {line["room_id"] for line in ends} == {line["room_id"] for line in made}
    assert [(line["outcome"], line.get("fault", "").split(":")[0]) for line in ends[:6]] == [
        ("answered", ""),
        ("failed", "unreachable"),
        ("answered", ""),
        ("failed", "silent"),
        ("failed", "MODEL_OVERLOADED"),
        ("stopped", ""),
    ]
    assert "connection refused" in ends[1]["fault"]
    assert 0 < ends[3]["duration_s"] < 30
    # Outages: once a change, however many tries
    (down,) = of("agent_unreachable", level="warning", agent="coder", url=coder, waiting=1)
    assert "connection refused" in down["reason"]
    (up,) = of("agent_reachable", level="info", agent="coder", url=coder)
    assert up["outage_s"] > 1
    (away,) = of("homeserver_unreachable", level="warning", url=url)
    assert "HTTP 502" in away["reason"]
    (back,) = of("homeserver_reachable", level="info", url=url)
    assert back["outage_s"] > 0
    # Single faults
    (refused,) = of("order_refused", level="warning", room_id=made[0]["room_id"])
    assert refused["turn"] in {line["turn"] for line in ends}
    assert len(of("event_quarantined", level="warning")) == 1
    assert len(of("registry_refused", level="error")) == len(of("registry_reloaded")) == 1
    assert len(of("room_recovery_failed", level="warning", matrix_user_id=anna)) == 1
    # Lives: the second reports the broken room, the third ends at the login
    assert [line["level"] for line in of("matrix_reconcile_complete")] == ["info", "warning"]
    live = of("bot_live", level="info", account=bot, homeserver=url)[0]
    assert live["allowed_users"] == [anna]
    assert {"version", "database", "begin"} < set(live)
    assert of("mock_agents_used") == []
    assert of("bot_state_changed", to="failed")[0]["level"] == "error"
    (fatal,) = of("fatal", level="error", exit_code=3)
    assert last == f"surfaces-bot: {fatal['reason']}"
    # E9
    assert SECRET not in str(log)
    assert PASSWORD not in str(log)


async def test_at_debug_each_failed_try_is_a_line_without_content(make_bot, make_user, agent):
    user = await make_user()
    bot = await make_bot(AGENT_RETRY_S="3")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        await user.create_room(invite=[bot.user_id])
        _, chat = await accept(user, bot.user_id)
        await agent.refuse(drop=True)
        asked = await user.send_text(chat, f"hello {SECRET}")
        await daemon.wait_log(lambda line: line["event"] == "turn_ended")
        await agent.accept()
    tries = [line for line in daemon.lines("agent_call_failed") if line["turn"] == asked]
    assert [line["attempt"] for line in tries] == list(range(1, len(tries) + 1))
    assert len(tries) >= 2
    assert {(line["level"], line["kind"], line["room_id"]) for line in tries} == {
        ("debug", "unreachable", chat)
    }
    assert len(daemon.lines("agent_unreachable")) == 1
    assert SECRET not in str(daemon.log)


async def shown_on_a_terminal(bot, until, **more):
    """Run the daemon on a terminal until this text is shown, or its end; return all that is shown."""
    reader, terminal = pty.openpty()
    environment = bot.daemon.environment | more
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "NO_COLOR": "1"} | environment
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "run"),
        cwd=bot.daemon.directory,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = ""
    try:
        while until not in shown:
            shown += (await asyncio.to_thread(os.read, reader, 65536)).decode()
    except OSError:  # the terminal is closed
        pass
    finally:
        if process.returncode is None and until in shown:
            process.terminate()
        await process.wait()
        os.close(reader)
    return shown.replace("\r\n", "\n")


async def test_on_a_terminal_the_start_is_told_in_plain_words(make_bot):
    bot = await make_bot(MATRIX_PLATFORM_BACKEND="mock", SURFACES_LOG_LEVEL="info")
    shown = await shown_on_a_terminal(bot, "[mock_agents_used]")
    assert "reconcile → live" in shown
    lines = shown[shown.index("[bot_live]") :].splitlines()[1:7]
    values = {line[8:].partition(":")[0].strip(): line for line in lines}
    titles = ["version", "account", "homeserver", "may talk", "database", "to begin"]
    assert list(values) == titles
    assert bot.user_id in values["account"]
    assert bot.daemon.environment["MATRIX_HOMESERVER"] in values["homeserver"]
    assert "@*:localhost" in values["may talk"]
    assert f"invite {bot.user_id}" in values["to begin"]
    (mock,) = [line for line in shown.splitlines() if "[mock_agents_used]" in line]
    assert "WARNING agents: " in mock
    assert "MATRIX_PLATFORM_BACKEND=real" in mock


async def test_on_a_terminal_a_fatal_end_says_its_reason_once(make_bot):
    bot = await make_bot(MATRIX_PASSWORD="another one", SURFACES_LOG_LEVEL="info")
    shown = await shown_on_a_terminal(bot, "nothing")
    assert "ERROR login → failed" in shown
    assert "ERROR the daemon ends with exit code 3" in shown
    assert shown.count("check MATRIX_USER_ID and MATRIX_PASSWORD") == 1
    assert shown.splitlines()[-1].startswith("surfaces-bot: ")

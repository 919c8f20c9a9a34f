"""Lines for people: local time, plain words, the important fields in order, colours only on a terminal (L12)."""

import os
import pty
import re
import time

import pytest
import structlog

from cli.log_console import ConsoleRenderer
from cli.log_limits import LINES, WINDOW_S, LogLimiter
from cli.logs import set_up_logs

LIVE = {
    "rooms": 3,
    "version": "1.2",
    "account": "@lambda:example.org",
    "homeserver": "https://matrix.example.org",
    "backend": "real",
    "agents": [{"agent": f"a{number}", "url": "http://x"} for number in range(12)],
    "allowed_users": ["@*:example.org"],
    "database": "/data/bot.db",
    "begin": "invite @lambda:example.org",
}


def line(event, level="info", **fields):
    renderer = ConsoleRenderer(colours=False)
    return renderer(None, "", {"event": event, "level": level, "timestamp": "03:00:00", **fields})


def test_a_change_of_state_is_an_arrow_in_plain_words():
    text = line("bot_state_changed", **{"from": "login", "to": "live", "reason": "as @bot:x"})
    assert text == "03:00:00 login → live: as @bot:x  [bot_state_changed]"


def test_the_end_of_a_turn_is_a_sentence_and_then_the_ids():
    text = line(
        "turn_ended",
        room_id="!r",
        turn="$t",
        agent="coder",
        duration_s=2.5,
        outcome="failed",
        fault="silent: nothing came",
    )
    assert text == (
        "03:00:00 turn failed after 2.5 s, agent coder: silent: nothing came"
        "  room_id=!r  turn=$t  [turn_ended]"
    )


@pytest.mark.parametrize(
    ("level", "shown"), [("warning", "WARNING "), ("error", "ERROR "), ("info", "")]
)
def test_the_level_is_shown_where_it_matters(level, shown):
    assert line("hello", level).startswith(f"03:00:00 {shown}hello")


def test_bot_live_is_one_line_for_each_fact():
    lines = line("bot_live", **LIVE).splitlines()
    assert [each.split()[1].rstrip(":") for each in lines[1:]] == [
        *("version", "account", "homeserver", "agents", "may", "database", "to")
    ]
    assert "and 2 more" in lines[4]
    assert all(each.startswith("03:00:00") for each in lines)


def test_the_mock_agent_is_named_by_its_own_warning_only():
    lines = line("bot_live", **LIVE | {"backend": "mock"}).splitlines()
    assert not any("agents:" in each for each in lines)
    assert line("mock_agents_used", "warning", reason="r").startswith("03:00:00 WARNING agents: r")


def test_a_fatal_end_shows_its_reason_only_in_the_last_line_of_the_command():
    failed = {"from": "login", "to": "failed", "reason": "wrong password"}
    shown = line("bot_state_changed", "error", **failed)
    shown += line("fatal", "error", exit_code=3, reason="wrong password")
    assert "wrong password" not in shown
    assert "login → failed" in shown
    assert "exit code 3" in shown


def test_a_line_without_its_usual_fields_is_still_written():
    for event in ("turn_ended", "bot_live", "room_recovery_failed", "registry_reloaded", "fatal"):
        assert f"[{event}]" in line(event)


def on_a_terminal(monkeypatch, **environment):
    """Log one warning to a terminal; return what it shows."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reader, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        set_up_logs(None, "info")
        structlog.get_logger().warning("hello", room_id="!r")
        shown = os.read(reader, 10_000).decode()
    os.close(reader)
    return shown


def test_a_terminal_has_colours_and_local_time(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        before = time.strftime("%H:%M")
        shown = on_a_terminal(monkeypatch)
        assert shown[:5] in (before, time.strftime("%H:%M"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "\x1b[33mWARNING" in shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_turned_off(monkeypatch, environment):
    assert "\x1b" not in on_a_terminal(monkeypatch, **environment)


def test_an_empty_no_color_does_not_turn_colours_off(monkeypatch):
    assert "\x1b" in on_a_terminal(monkeypatch, NO_COLOR="")


def test_a_file_has_no_colours_and_the_date_with_its_offset(capsys):
    set_up_logs("console", "info")
    structlog.get_logger().info("hello")
    shown = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} hello  \[hello\]\n", shown)


# -- floods ------------------------------------------------------------------------------------------


def written(limiter, event, times):
    lines = []
    for _ in range(times):
        try:
            lines.append(limiter(None, "", {"event": event}))
        except structlog.DropEvent:
            continue
    return lines


def test_what_outsiders_cause_is_logged_a_limited_number_of_times_a_minute():
    now = [0.0]
    limiter = LogLimiter(lambda: now[0])
    assert len(written(limiter, "invite_rejected", LINES + 7)) == LINES
    assert len(written(limiter, "event_quarantined", 1)) == 1
    now[0] = WINDOW_S
    assert written(limiter, "invite_rejected", 2) == [
        {"event": "invite_rejected", "left_out": 7},
        {"event": "invite_rejected"},
    ]


def test_the_ends_of_turns_are_never_left_out():
    assert len(written(LogLimiter(lambda: 0.0), "turn_ended", 5 * LINES)) == 5 * LINES

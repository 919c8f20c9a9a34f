"""Log lines: their fields, and what they never contain (E9)."""

import errno
import io
import json
import logging
import os
import sys

import pytest
import structlog

from cli.logs import set_up_logs


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_event_level_timestamp_and_its_own_fields(capsys):
    set_up_logs("json", "info")
    structlog.get_logger().warning("something_happened", room_id="!room", count=3, what=[1, None])
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "something_happened",
        "level": "warning",
        "room_id": "!room",
        "count": 3,
        "what": [1, None],
    }


@pytest.mark.parametrize("full", [False, True], ids=["closed", "full"])
def test_a_closed_or_full_stderr_costs_only_the_lines(monkeypatch, full):
    monkeypatch.setattr(sys, "stderr", Full() if full else None)
    set_up_logs(None, "info")
    structlog.get_logger().info("something_happened")


def test_without_a_terminal_the_format_is_json(capsys):
    set_up_logs(None, "info")
    structlog.get_logger().info("hello")
    assert lines(capsys)[0]["event"] == "hello"


def test_console_lines_are_for_people(capsys):
    set_up_logs("console", "info")
    structlog.get_logger().info("hello", room_id="!room")
    text = capsys.readouterr().err
    assert "hello" in text
    assert "room_id=!room" in text
    assert not text.startswith("{")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_the_least_severe_that_shows(capsys, level, shown):
    set_up_logs("json", level)
    logger = structlog.get_logger()
    for each in ("debug", "info", "warning", "error"):
        getattr(logger, each)("x")
    assert [line["level"] for line in lines(capsys)] == shown


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "token s3cret-token is unknown"},
        {"deep": {"list": [{"key": ("s3cret-token",)}]}},
        {"error": ValueError("s3cret-token")},
        {"s3cret-token": 1},
        {"raw": b"s3cret-token"},
    ],
    ids=["text", "deep", "object", "key", "bytes"],
)
def test_secrets_are_hidden_everywhere_in_a_line(capsys, format_, fields):
    set_up_logs(format_, "debug", ["s3cret-token", ""])
    structlog.get_logger().error("with s3cret-token", **fields)
    text = capsys.readouterr().err
    assert "s3cret-token" not in text
    assert "[hidden]" in text


def test_a_short_secret_is_hidden_only_as_a_whole_word(capsys):
    set_up_logs("json", "info", ["bot", "e"])
    structlog.get_logger().info("bot_live", to="live", reason="as @bot:x, not robot, e")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["to"]) == ("bot_live", "info", "live")
    assert line["reason"] == "as @[hidden]:x, not robot, [hidden]"


def test_a_short_secret_directly_beside_a_long_one_is_hidden_too(capsys):
    set_up_logs("json", "info", ["a long secret", "short"])
    structlog.get_logger().info("hello", after="a long secretshort", before="shorta long secret")
    (line,) = lines(capsys)
    assert line["after"] == line["before"] == "[hidden][hidden]"


@pytest.mark.parametrize("format_", ["json", "console"])
def test_control_characters_are_escaped(capsys, format_):
    set_up_logs(format_, "info")
    name = "a\x1b[2Jb\rc\nd\x00e\u202ef\u2028g\x85h"
    structlog.get_logger().info("joined\x1b", name=name, deep={"k\x1b": [name]})
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert all(character.isprintable() for character in text.rstrip("\n"))


def test_a_lone_surrogate_ends_no_line(capsys):
    set_up_logs("json", "info")
    structlog.get_logger().info("x", name="\ud800")
    assert lines(capsys)[0]["name"] == "\\ud800"


def test_libraries_are_silent(capsys):
    set_up_logs("json", "debug")
    for name in ("nio", "nio.client", "aiohttp.access", "aiosqlite", "anything"):
        logging.getLogger(name).error("access_token=syt_secret")
    assert capsys.readouterr().err == ""

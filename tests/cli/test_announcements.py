"""The description of the installation and the lines about outages: addresses without secrets (contracts L12, E9)."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent_platform import single_agent
from cli.announcements import agent_outage_logger, describe, outage_logger, without_userinfo
from cli.settings import Settings
from machines.ids import AgentId


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATRIX_HOMESERVER", "https://matrix.example.org")
    monkeypatch.setenv("MATRIX_USER_ID", "@lambda:example.org")
    monkeypatch.setenv("MATRIX_PASSWORD", "a password of no importance")
    return Settings()


def registry(url="http://user:s3cret@agents.example.org:8080/base"):
    return single_agent(url, Path("/agents"), "Agent")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:s3cret@x.org:8448/p", "https://x.org:8448/p"),
        ("http://a@b@[::1]:8008", "http://[::1]:8008"),
        ("http://x.org", "http://x.org"),
    ],
)
def test_a_url_is_shown_without_user_name_and_password(url, shown):
    assert without_userinfo(url) == shown


def test_the_description_says_what_runs_for_whom_and_how_to_begin(settings):
    fields = describe(settings, registry(None))
    assert fields["account"] in fields["begin"]
    assert fields["allowed_users"] == ["@*:example.org"]
    assert fields["homeserver"] == "https://matrix.example.org"
    assert fields["agents"] == [{"agent": "default", "url": "the built-in mock"}]
    assert fields["database"].endswith("/lambda_matrix.db")
    assert fields["version"]


def test_an_outage_of_the_homeserver_names_its_url():
    with capture_logs() as logs:
        log = outage_logger("https://user:s3cret@matrix.example.org")
        log(False, "connection refused", 0.0)
        log(True, "", 12.345)
    url = "https://matrix.example.org"
    assert logs == [
        {
            "event": "homeserver_unreachable",
            "log_level": "warning",
            "url": url,
            "reason": "connection refused",
        },
        {"event": "homeserver_reachable", "log_level": "info", "url": url, "outage_s": 12.3},
    ]


def test_an_outage_of_an_agent_names_its_address_and_the_waiting_turns():
    with capture_logs() as logs:
        log = agent_outage_logger(registry)
        log(AgentId("default"), up=False, reason="connection refused", waiting=2, outage_s=0.0)
        log(AgentId("default"), up=True, reason="", waiting=1, outage_s=3.21)
    known = {"agent": "default", "url": "http://agents.example.org:8080/base"}
    assert logs == [
        {
            "event": "agent_unreachable",
            "log_level": "warning",
            "reason": "connection refused",
            "waiting": 2,
            **known,
        },
        {"event": "agent_reachable", "log_level": "info", "outage_s": 3.2, "waiting": 1, **known},
    ]

"""Signals that come while the daemon still loads: none is lost, and none ends it as a failure (L8)."""

import os
import signal

import pytest
import structlog

from cli.run import run_daemon
from cli.signals import EARLY, EarlySignals
from tests.cli.shell import Shell

KEPT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def _configured(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATRIX_HOMESERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("MATRIX_USER_ID", "@lambda:example.org")
    monkeypatch.setenv("MATRIX_PASSWORD", "a password of no importance")
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("number", KEPT)
def test_a_signal_is_noted_and_afterwards_does_what_it_did_before(number):
    before = signal.getsignal(number)
    with EarlySignals() as early:
        assert not early.came(*KEPT)
        os.kill(os.getpid(), number)
        assert early.came(number)
        assert not early.came(*(other for other in KEPT if other != number))
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_was_stopped_while_it_loaded_drains_at_once(number, capsys):
    with EARLY:
        os.kill(os.getpid(), number)
        run_daemon()
    assert '"to": "stopped"' in capsys.readouterr().err


@pytest.mark.usefixtures("_configured")
def test_an_agents_file_that_was_to_be_read_again_is(capsys):
    with EARLY:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        run_daemon()
    assert "registry_reloaded" in capsys.readouterr().err


def test_without_a_command_the_line_on_stderr_says_so(monkeypatch, capsys):
    result = Shell(monkeypatch, capsys)()
    assert result.code == 2
    assert "inspect-room" in result.out
    assert "no command" in result.err

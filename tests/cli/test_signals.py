"""Signals that come while the daemon starts: none is lost, and none ends it as a failure (L8)."""

import signal

import pytest

from cli import signals
from cli.run import run_daemon
from tests.cli.shell import Shell

BLOCKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def _configured(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATRIX_HOMESERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("MATRIX_USER_ID", "@lambda:example.org")
    monkeypatch.setenv("MATRIX_PASSWORD", "a password of no importance")


@pytest.mark.parametrize("number", BLOCKED)
def test_a_signal_that_is_never_delivered_has_no_effect(number):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with signals.blocked():
        signal.raise_signal(number)
        assert signal.sigpending() == {number}
    assert signal.sigpending() == set()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_pending_signal_can_be_delivered():
    received = []
    handler = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    try:
        with signals.blocked():
            signal.raise_signal(signal.SIGHUP)
            assert received == []
            signals.unblock(signal.SIGHUP)
            assert received == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, handler)


@pytest.mark.usefixtures("_configured")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_during_the_start_drains_at_once(number, capsys):
    with signals.blocked():
        signal.raise_signal(number)
        run_daemon()
    assert '"to": "stopped"' in capsys.readouterr().err


@pytest.mark.usefixtures("_configured")
def test_a_sighup_during_the_start_reads_the_agents_file_again(capsys):
    with signals.blocked():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        run_daemon()
    assert "registry_reloaded" in capsys.readouterr().err


def test_without_a_command_the_line_on_stderr_says_so(monkeypatch, capsys):
    result = Shell(monkeypatch, capsys)()
    assert result.code == 2
    assert "inspect-room" in result.out
    assert "no command" in result.err

"""SIGHUP: an unreadable file changes nothing and stops nothing, and the log has the reason (contracts A2, E12)."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import signals
from cli.run import run_daemon
from store.database import open_database
from tests.cli.shell import Shell

AGENTS = "agents: [{id: a, label: A, base_url: 'http://127.0.0.1:9', token_env: CODER_TOKEN}]\n"
SECRET = "s3cret-of-the-coder"


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("MATRIX_", "AGENT_", "SURFACES_")):
            monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"CODER_TOKEN={SECRET}\n")
    (tmp_path / "agents.yaml").write_text(AGENTS)
    monkeypatch.setenv("MATRIX_HOMESERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("MATRIX_USER_ID", "@lambda:example.org")
    monkeypatch.setenv("MATRIX_PASSWORD", "a password of no importance")
    monkeypatch.setenv("MATRIX_PLATFORM_BACKEND", "real")
    monkeypatch.setenv("MATRIX_AGENT_REGISTRY_PATH", "agents.yaml")
    return tmp_path


def no_utf8(directory: Path) -> None:
    (directory / ".env").write_bytes(b"CODER_TOKEN=p\xe4ss\n")


def a_directory(directory: Path) -> None:
    (directory / ".env").unlink()
    (directory / ".env").mkdir()


def agents_no_utf8(directory: Path) -> None:
    (directory / "agents.yaml").write_bytes(b"agents: \xe4")


def agents_a_directory(directory: Path) -> None:
    (directory / "agents.yaml").unlink()
    (directory / "agents.yaml").mkdir()


def reloaded(monkeypatch: Any, capsys: Any, damage: Callable[[], None]) -> list[dict[str, Any]]:
    """Start a daemon, damage a file after it was read, and send SIGHUP and SIGTERM."""

    async def damage_first(path):
        damage()
        return await open_database(path)

    monkeypatch.setattr("cli.run.open_database", damage_first)
    with signals.blocked():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        run_daemon()
    err = capsys.readouterr().err
    assert SECRET not in err
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (no_utf8, ".env"),
        (a_directory, ".env"),
        (agents_no_utf8, "agents.yaml"),
        (agents_a_directory, "agents.yaml"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_reload_with_an_unreadable_file_keeps_the_current_agents(
    monkeypatch, capsys, directory, damage, named
):
    lines = reloaded(monkeypatch, capsys, lambda: damage(directory))
    [refused] = [line for line in lines if line["event"] == "registry_refused"]
    assert named in refused["reason"]
    assert lines[-1]["event"] == "bot_state_changed"
    assert lines[-1]["to"] == "stopped"


@pytest.mark.parametrize("damage", [no_utf8, a_directory], ids=lambda each: each.__name__)
@pytest.mark.parametrize("command", ["run", "inspect-room", "reset"])
def test_at_start_an_unreadable_env_file_is_a_configuration_error(
    monkeypatch, capsys, directory, damage, command
):
    damage(directory)
    result = Shell(monkeypatch, capsys)(command)
    assert result.code == 2
    assert f"{directory / '.env'}: found" in result.err
    assert "UTF-8" in result.err or "directory" in result.err

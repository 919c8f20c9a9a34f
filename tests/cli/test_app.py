"""The command line: complete help, one line for a failure, and exit codes (S3, S4)."""

import io
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from cli import app
from cli.errors import CommandFailed, ExitCode
from cli.terminal import counted
from store import DaemonLock
from store.lock import lock_path
from tests.cli.shell import Shell
from tests.store.samples import connect, files

COMMANDS = ("run", "inspect-room", "reset", "demo")
ROOT = Path(__file__).parents[2]
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("MATRIX_", "AGENT_", "SURFACES_"))
}


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path) -> Shell:
    for name in set(os.environ) - set(CLEAN):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Shell(monkeypatch, capsys)


def as_process(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=cwd,
        env=CLEAN | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", [("inspect-room",), ("reset",), ("reset", "--json")])
def test_a_closed_stdout_is_no_failure(tmp_path, command):
    with closing(connect(tmp_path / "lambda_matrix.db")):
        pass
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        ended = subprocess.run(
            (sys.executable, "-m", "cli", *command),
            cwd=tmp_path,
            env=CLEAN | {"PYTHONPATH": str(ROOT)},
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", [("inspect-room",), ("reset", "--dry-run")])
def test_a_process_that_is_started_without_stdout_does_not_fail(
    shell, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    with closing(connect(tmp_path / "lambda_matrix.db")):
        pass
    monkeypatch.setattr(sys, "stdout", None)
    assert shell(*command).code == 0


def test_the_version_is_that_of_the_installed_package(shell):
    result = shell("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"surfaces-bot {metadata.version('surfaces-bot')}\n"


def test_one_of_a_thing_is_singular():
    assert [counted(number, "user") for number in (0, 1, 2)] == ["0 users", "1 user", "2 users"]


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_list_of_faults_has_a_line_for_each_on_a_terminal_and_is_one_line_elsewhere(
    shell, monkeypatch
):
    def fail() -> None:
        raise CommandFailed(ExitCode.USAGE, "2 faults", ["A: wrong", "B: also"])

    monkeypatch.setattr("cli.run.run_daemon", fail)
    assert shell("run").err == "surfaces-bot: 2 faults: A: wrong; B: also\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(SystemExit):
        app.main()
    assert terminal.getvalue() == "surfaces-bot: 2 faults:\n  A: wrong\n  B: also\n"


def test_help_lists_every_command(shell):
    result = shell("--help")
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_what_it_does_and_every_option(shell, command):
    result = shell(command, "--help")
    assert result.code == 0
    assert result.err == ""
    (found,) = [
        each
        for each in app.app.registered_commands
        if (each.name or each.callback.__name__) == command
    ]
    first_words = found.callback.__doc__.split()[:4]
    assert " ".join(first_words) in " ".join(result.out.split())
    rows = [line for line in result.out.splitlines() if re.match(r"\W*--\w", line)]
    assert any("--help" in row for row in rows)
    for row in rows:
        assert re.search(r"--[\w-]+.*\s{2,}\w", row), f"no description in {row!r}"


@pytest.mark.parametrize(
    "arguments",
    [(), ("dance",), ("run", "--fast"), ("run", "now"), ("reset", "--mode", "all")],
)
def test_wrong_usage_exits_2_with_one_line_that_points_to_help(shell, arguments):
    result = shell(*arguments)
    assert result.code == ExitCode.USAGE
    assert result.err.endswith(" (see --help)\n")
    assert ". (see" not in result.err
    assert "Value error" not in result.err


def test_a_wrong_configuration_exits_2_and_names_the_variables(shell):
    result = shell("run")
    assert result.code == ExitCode.USAGE
    for variable in ("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"):
        assert variable in result.err


@pytest.mark.parametrize("code", [each for each in ExitCode if each != ExitCode.DONE])
def test_a_command_that_fails_ends_with_its_code_and_one_line(shell, monkeypatch, code):
    def fail() -> None:
        raise CommandFailed(code, "what is wrong;\nwhat to do")

    monkeypatch.setattr("cli.run.run_daemon", fail)
    result = shell("run")
    assert (result.code, result.err) == (code, "surfaces-bot: what is wrong; what to do\n")


def test_a_line_about_a_failure_can_not_move_the_cursor(shell, monkeypatch):
    def fail() -> None:
        raise CommandFailed(ExitCode.CREDENTIALS, "the homeserver says \x1b[2Jnothing\x07")

    monkeypatch.setattr("cli.run.run_daemon", fail)
    assert shell("run").err == "surfaces-bot: the homeserver says \\x1b[2Jnothing\\x07\n"


def test_an_unexpected_error_exits_1_and_shows_no_text_of_users(shell, monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError("a body that somebody wrote")

    monkeypatch.setattr("cli.run.run_daemon", fail)
    result = shell("run")
    assert result.code == ExitCode.FAULT
    assert "ZeroDivisionError" in result.err
    assert "somebody" not in result.err


def test_an_interruption_is_no_traceback(shell, monkeypatch):
    def fail() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.run.run_daemon", fail)
    assert shell("run").code == ExitCode.FAULT


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [(sys.executable, "-m", "cli"), (str(Path(sys.executable).with_name("surfaces-bot")),)],
    ids=["module", "script"],
)
def test_module_and_script_are_the_same_program(command, tmp_path):
    shown = as_process(*command, "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(each in shown.stdout for each in COMMANDS)
    assert as_process(*command, "--version", cwd=tmp_path).stdout.startswith("surfaces-bot ")
    failed = as_process(*command, "run", cwd=tmp_path)
    assert failed.returncode == ExitCode.USAGE
    assert failed.stderr.startswith("surfaces-bot: configuration: ")
    assert failed.stderr.count("\n") == 1
    assert failed.stdout == ""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A complete configuration without a database; returns the path for it."""
    path = tmp_path / "bot.db"
    for name, value in {
        "MATRIX_HOMESERVER": "http://127.0.0.1:9",
        "MATRIX_USER_ID": "@lambda:example.org",
        "MATRIX_PASSWORD": "s3cret",
        "MATRIX_DB_PATH": str(path),
    }.items():
        monkeypatch.setenv(name, value)
    return path


@pytest.mark.parametrize("found", ["garbage", "no directory", "a later version"])
def test_an_unusable_database_exits_4_and_says_what_to_do(shell, monkeypatch, configured, found):
    path = configured
    if found == "garbage":
        path.write_bytes(b"no database" * 100)
        path.chmod(0o600)
    elif found == "a later version":
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA user_version = 9999")
        raw.close()
        path.chmod(0o600)
    else:
        path = path.parent / "nowhere" / "bot.db"
        monkeypatch.setenv("MATRIX_DB_PATH", str(path))
    result = shell("run")
    assert result.code == ExitCode.DATABASE
    assert str(path) in result.err
    missing = f"the directory {path.parent} does not exist"
    assert (missing in result.err) is (found == "no directory")


def test_a_second_daemon_exits_5_at_once(shell, configured):
    with DaemonLock(configured):
        result = shell("run")
    assert result.code == ExitCode.LOCKED
    assert str(os.getpid()) in result.err
    assert configured.read_bytes() == b""


@pytest.mark.parametrize("how", ["symbolic link", "hard link", "same store"])
def test_a_second_daemon_under_another_name_exits_5_and_leaves_no_file(
    shell, monkeypatch, configured, how
):
    other = configured.with_name("other.db")
    store = configured.with_name("matrix_store")
    with DaemonLock(configured, store):
        if how == "symbolic link":
            other.symlink_to(configured)
        elif how == "hard link":
            other.hardlink_to(configured)
        monkeypatch.setenv("MATRIX_DB_PATH", str(other))
        monkeypatch.setenv(
            "MATRIX_STORE_PATH", str(store if how == "same store" else store.with_name("another"))
        )
        before = files(configured.parent)
        result = shell("run")
        assert result.code == ExitCode.LOCKED
        assert files(configured.parent) == before


def test_a_store_directory_that_can_not_be_created_is_named_and_no_database_is_left(
    shell, monkeypatch, configured
):
    store = configured.with_name("dangling")
    store.symlink_to(configured.with_name("nowhere") / "store")
    monkeypatch.setenv("MATRIX_STORE_PATH", str(store))
    before = files(configured.parent)
    result = shell("run")
    assert result.code == ExitCode.USAGE
    assert "MATRIX_STORE_PATH" in result.err
    assert str(store) in result.err
    assert files(configured.parent) == before


@pytest.mark.parametrize("found", ["text", "database"])
def test_a_foreign_file_is_not_used_as_the_database(shell, configured, found):
    if found == "text":
        configured.write_text("my thesis")
    else:
        with closing(sqlite3.connect(configured)) as raw:
            raw.execute("CREATE TABLE recipes (name TEXT)")
    configured.chmod(0o600)
    before = files(configured.parent)
    result = shell("run")
    assert result.code == ExitCode.DATABASE
    assert str(configured) in result.err
    assert "MATRIX_DB_PATH" in result.err
    assert files(configured.parent) == before


@pytest.mark.parametrize("kind", ["notes", "fifo", "directory", "link"])
def test_a_foreign_lock_file_is_not_changed_and_no_file_is_created(shell, configured, kind):
    lock = lock_path(configured)
    match kind:
        case "notes":
            lock.write_text("my notes")
        case "fifo":
            os.mkfifo(lock)
        case "directory":
            lock.mkdir()
        case _:
            lock.symlink_to("notes.txt")
    before = sorted(configured.parent.rglob("*"))
    result = shell("run")
    assert result.code == ExitCode.DATABASE
    assert str(lock) in result.err
    assert sorted(configured.parent.rglob("*")) == before
    assert kind != "notes" or lock.read_text() == "my notes"

"""`reset --mode local-only`: what it deletes and what it refuses, and that a dry run shows exactly that."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.reset_files import OwnFiles
from store.lock import DaemonLock, is_held
from tests.cli.shell import Shell
from tests.store.samples import busy_chat, connect, files

SESSION = {
    "homeserver": "https://matrix.example.org",
    "user_id": "@lambda:example.org",
    "device_id": "DEVICE",
    "access_token": "a secret token",
}
# A database of the bot that is damaged after its header.
DATABASE = b"SQLite format 3\x00".ljust(68, b"\1") + (0x53757242).to_bytes(4, "big") + bytes(28)
OURS = ["bot.db", "bot.db-wal", "bot.db-shm", "bot.db-journal", "bot.db.lock"]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and an environment that names two paths and nothing of the account."""
    for variable in ("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    place(tmp_path, monkeypatch)
    return tmp_path


def place(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MATRIX_DB_PATH", str(directory / "bot.db"))
    monkeypatch.setenv("MATRIX_STORE_PATH", str(directory / "store"))


@pytest.fixture
def shell(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(monkeypatch, capsys)


def used(directory: Path) -> None:
    """Make the files of a killed daemon, beside foreign ones."""
    with closing(connect(directory / "bot.db")) as raw:
        busy_chat(raw)
    for name in ("bot.db-wal", "bot.db-shm", "bot.db.lock", "bot.db.backup", "other.db"):
        (directory / name).touch()
    store = directory / "store"
    store.mkdir(mode=0o700)
    (store / "session.json").write_text(json.dumps(SESSION))
    (store / "session.tmp").write_text('{\n  "homeserver": "https://mat')


def summary(shell: Shell, *arguments: str) -> Any:
    result = shell("reset", "--json", *arguments)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_database_its_side_files_and_the_store_are_deleted_and_nothing_else(
    shell: Shell, directory: Path
) -> None:
    used(directory)
    found = summary(shell)
    assert files(directory).keys() == {"bot.db.backup", "other.db"}
    assert {line["action"] for line in found["local"]} == {"deleted"}
    assert {Path(line["path"]).name for line in found["local"]} == {
        *("bot.db", "bot.db-wal", "bot.db-shm", "bot.db.lock", "store")
    }


def test_what_is_absent_is_reported_as_absent(shell: Shell, directory: Path) -> None:
    assert summary(shell)["local"] == [
        {"path": str(directory / "bot.db"), "action": "absent"},
        {"path": str(directory / "store"), "action": "absent"},
    ]
    assert files(directory) == {}
    assert shell("reset").out.count("already absent") == 2


def test_a_directory_that_is_absent_is_no_fault(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATRIX_DB_PATH", str(directory / "nowhere" / "bot.db"))
    assert summary(shell)["local"][0]["action"] == "absent"
    assert files(directory) == {}


def test_the_summary_is_the_object_of_contract_x4(shell: Shell, directory: Path) -> None:
    used(directory)
    for dry_run in (True, False):
        found = summary(shell, *(["--dry-run"] if dry_run else []))
        assert list(found) == ["mode", "dry_run", "local", "server", "manual_steps"]
        assert (found["mode"], found["dry_run"], found["server"]) == ("local-only", dry_run, [])
        assert all(list(line) == ["path", "action"] for line in found["local"])
        steps = " ".join(found["manual_steps"])
        for text in ("eave or archive the old rooms and the Space", "accept its new invites"):
            assert text in steps


def test_text_has_three_parts_and_says_that_it_is_for_development(
    shell: Shell, directory: Path
) -> None:
    used(directory)
    for arguments in (("--dry-run",), ()):
        out = shell("reset", *arguments).out
        assert "for development and QA only" in out
        parts = [out.index(f"\n{part}") for part in ("Local\n", "Server\n", "Manual steps")]
        assert parts == sorted(parts)
        assert ("nothing is changed" in out) == bool(arguments)


def test_the_old_device_is_named_and_its_token_is_not(shell: Shell, directory: Path) -> None:
    used(directory)
    steps = " ".join(summary(shell)["manual_steps"])
    assert "DEVICE" in steps
    assert "a secret token" not in steps


def test_a_dry_run_changes_nothing(shell: Shell, directory: Path) -> None:
    used(directory)
    before = files(directory)
    summary(shell, "--dry-run")
    assert files(directory) == before


@pytest.mark.slow
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    there=st.sets(st.sampled_from(OURS)).map(
        lambda names: names if "bot.db" in names else names & {"bot.db.lock"}
    ),
    others=st.sets(st.sampled_from(["bot.db.backup", "bot.dbx", "notes", "bot.db-walrus"])),
    store=st.none() | st.sets(st.sampled_from(["session.json", "session.tmp"])),
)
def test_what_the_dry_run_lists_is_what_the_real_run_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: set[str],
    others: set[str],
    store: set[str] | None,
) -> None:
    with TemporaryDirectory() as name, monkeypatch.context() as patch:
        directory = Path(name)
        place(directory, patch)
        shell = Shell(patch, capsys)
        for file in (*there, *others):
            (directory / file).touch()
        if "bot.db" in there:
            (directory / "bot.db").write_bytes(DATABASE)
        if store is not None:
            (directory / "store").mkdir(mode=0o700)
        for file in store or ():
            (directory / "store" / file).write_text(json.dumps(SESSION, indent=2))
        before = files(directory)
        planned = summary(shell, "--dry-run")
        assert files(directory) == before
        done = summary(shell)
        assert [
            (line["path"], line["action"].replace("would_delete", "deleted"))
            for line in planned["local"]
        ] == [(line["path"], line["action"]) for line in done["local"]]
        assert planned["manual_steps"] == done["manual_steps"]
        assert set(files(directory)) == others
        listed = {Path(line["path"]).name for line in done["local"] if line["action"] == "deleted"}
        assert listed == there | ({"store"} if store is not None else set())
        patch.chdir("/")


@pytest.mark.parametrize("name", ["itself", "symbolic link", "hard link", "linked directory"])
def test_it_refuses_while_a_daemon_holds_the_database(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    used(directory)
    other = directory / "another.db"
    match name:
        case "itself":
            other = directory / "bot.db"
        case "symbolic link":
            other.symlink_to(directory / "bot.db")
        case "hard link":
            other.hardlink_to(directory / "bot.db")
        case _:
            (directory / "link").symlink_to(directory)
            other = directory / "link" / "bot.db"
    monkeypatch.setenv("MATRIX_DB_PATH", str(other))
    with DaemonLock(directory / "bot.db"):
        before = files(directory)
        result = shell("reset")
        assert (result.code, result.out) == (5, "")
        assert "stop it first" in result.err
        assert files(directory) == before


def test_it_refuses_while_a_daemon_with_another_database_holds_the_store(
    shell: Shell, directory: Path
) -> None:
    used(directory)
    with DaemonLock(directory / "other.db", directory / "store"):
        before = files(directory)
        result = shell("reset")
        assert (result.code, result.out) == (5, "")
        assert files(directory) == before


def test_a_dry_run_works_beside_a_daemon_and_says_so(shell: Shell, directory: Path) -> None:
    used(directory)
    with DaemonLock(directory / "bot.db", directory / "store"):
        before = files(directory)
        result = shell("reset", "--dry-run", "--json")
        assert files(directory) == before
    assert result.code == 0
    assert {line["action"] for line in json.loads(result.out)["local"]} == {"would_delete"}
    assert "held by another daemon" in result.err


def test_the_database_is_locked_until_it_is_deleted(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(directory)
    held: list[bool] = []

    def check(own: OwnFiles, path: Path) -> None:
        held.append(is_held(directory / "bot.db") and is_held(directory / "x", directory / "store"))

    monkeypatch.setattr("cli.reset_files.OwnFiles.delete", check)
    shell("reset")
    assert held == [True] * 5


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    "store", ["/", "{cwd}", "{cwd}/..", "{home}", "{cwd}/volume", "{cwd}/link", "{cwd}/notes.txt"]
)
def test_a_store_that_is_not_the_bots_own_is_refused(
    shell: Shell,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    arguments: tuple[str, ...],
) -> None:
    used(directory)
    home = directory / "home"
    home.mkdir()
    (directory / "volume" / "agents").mkdir(parents=True)
    (directory / "link").symlink_to(home)
    (directory / "notes.txt").write_text("mine")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SURFACES_WORKSPACE_DIR", str(directory / "volume" / "agents"))
    monkeypatch.setenv("MATRIX_STORE_PATH", store.format(cwd=directory, home=home))
    before = files(directory)
    result = shell("reset", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "MATRIX_STORE_PATH" in result.err
    assert files(directory) == before


def test_a_directory_with_a_foreign_file_is_refused(shell: Shell, directory: Path) -> None:
    used(directory)
    (directory / "store").chmod(0o755)
    (directory / "store" / "session.json").rename(directory / "store" / "holiday.jpg")
    before = files(directory)
    result = shell("reset")
    assert result.code == 2
    assert "holiday.jpg" in result.err
    assert files(directory) == before


def test_a_store_with_a_session_is_deleted_whatever_its_mode(shell: Shell, directory: Path) -> None:
    used(directory)
    (directory / "store").chmod(0o755)
    summary(shell)
    assert not (directory / "store").exists()


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_a_database_that_is_not_a_file_is_refused(shell: Shell, directory: Path, kind: str) -> None:
    used(directory)
    (directory / "bot.db").rename(directory / "real.db")
    if kind == "link":
        (directory / "bot.db").symlink_to(directory / "real.db")
    else:
        (directory / "bot.db").mkdir()
    result = shell("reset")
    assert result.code == 2
    assert "MATRIX_DB_PATH" in result.err
    assert (directory / "real.db").exists()
    assert (directory / "store").exists()


def refused(shell: Shell, directory: Path, *named: str) -> None:
    """Check that it refuses, with and without `--dry-run`, and changes no file."""
    before = files(directory)
    for arguments in ((), ("--dry-run",), ("--json",)):
        result = shell("reset", *arguments)
        assert (result.code, result.out) == (2, ""), arguments
        for name in named:
            assert name in result.err
    assert files(directory) == before


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE recipes (name TEXT)")


@pytest.mark.parametrize(
    "content", [b"my thesis\n", b"", b"SQLite format 3\x00", "database"], ids=str
)
def test_a_file_that_is_not_the_bots_database_is_refused(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | str
) -> None:
    used(directory)
    thesis = directory / "thesis.txt"
    if isinstance(content, bytes):
        thesis.write_bytes(content)
    else:
        foreign_database(thesis)
    monkeypatch.setenv("MATRIX_DB_PATH", str(thesis))
    refused(shell, directory, "MATRIX_DB_PATH", str(thesis))


def test_a_database_of_an_earlier_version_is_deleted(shell: Shell, directory: Path) -> None:
    used(directory)
    with closing(sqlite3.connect(directory / "bot.db")) as raw:
        raw.execute("PRAGMA application_id = 0")
        raw.execute("PRAGMA journal_mode = DELETE")
    summary(shell)
    assert not (directory / "bot.db").exists()


def test_a_damaged_database_of_the_bot_is_deleted(shell: Shell, directory: Path) -> None:
    used(directory)
    (directory / "bot.db").write_bytes((directory / "bot.db").read_bytes()[:5000])
    summary(shell)
    assert not (directory / "bot.db").exists()


@pytest.mark.parametrize("path", ["/", ".", "..", "x" * 300])
def test_a_path_that_can_be_no_database_is_refused(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    used(directory)
    monkeypatch.setenv("MATRIX_DB_PATH", path)
    refused(shell, directory, f"MATRIX_DB_PATH: {path} ")


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_side_file_without_its_database_is_refused(
    shell: Shell, directory: Path, suffix: str
) -> None:
    (directory / f"bot.db{suffix}").write_text("of a database that was moved away")
    refused(shell, directory, f"bot.db{suffix}")


@pytest.mark.parametrize("suffix", ["-wal", "-journal", ".lock"])
def test_a_side_file_that_is_a_link_is_refused(shell: Shell, directory: Path, suffix: str) -> None:
    used(directory)
    (directory / f"bot.db{suffix}").unlink(missing_ok=True)
    (directory / f"bot.db{suffix}").symlink_to(directory / "other.db")
    refused(shell, directory, f"bot.db{suffix}")


def test_a_lock_file_that_is_not_the_bots_is_refused(shell: Shell, directory: Path) -> None:
    used(directory)
    (directory / "bot.db.lock").write_text("the code of my bicycle's lock")
    refused(shell, directory, "bot.db.lock")


def test_a_database_that_is_a_fifo_is_refused(shell: Shell, directory: Path) -> None:
    os.mkfifo(directory / "bot.db")
    refused(shell, directory, "MATRIX_DB_PATH")


@pytest.mark.parametrize("variable", ["MATRIX_DB_PATH", "MATRIX_STORE_PATH"])
def test_a_path_through_a_symbolic_link_is_refused(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    used(directory)
    (directory / "link").symlink_to(directory)
    name = "bot.db" if variable == "MATRIX_DB_PATH" else "store"
    monkeypatch.setenv(variable, str(directory / "link" / name))
    refused(shell, directory, variable, str(directory / "link"), str(directory / name))


@pytest.mark.parametrize(
    "name", ["id_ed25519", "session.json.backup", "keys/", "link", "session.json", "session.tmp"]
)
def test_a_store_that_holds_anything_else_is_refused(
    shell: Shell, directory: Path, name: str
) -> None:
    used(directory)
    file = directory / "store" / name.rstrip("/")
    file.unlink(missing_ok=True)
    match name:
        case "keys/":
            file.mkdir()
        case "link":
            file.symlink_to(directory / "other.db")
        case _:
            file.write_text("a private key")
    refused(shell, directory, "MATRIX_STORE_PATH", name.rstrip("/"))


def test_a_private_directory_without_a_session_is_refused(shell: Shell, directory: Path) -> None:
    (directory / "store").mkdir(mode=0o700)
    (directory / "store" / "id_ed25519").write_text("a private key")
    refused(shell, directory, "MATRIX_STORE_PATH", "id_ed25519")


def test_an_empty_store_is_deleted(shell: Shell, directory: Path) -> None:
    (directory / "store").mkdir(mode=0o700)
    summary(shell)
    assert files(directory) == {}


def test_a_database_in_the_store_directory_is_deleted_with_it(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(directory)
    for name in ("bot.db", "bot.db-wal", "bot.db-shm", "bot.db.lock"):
        (directory / name).rename(directory / "store" / name)
    monkeypatch.setenv("MATRIX_DB_PATH", str(directory / "store" / "bot.db"))
    planned = summary(shell, "--dry-run")
    assert {line["action"] for line in planned["local"]} == {"would_delete"}
    assert {line["action"] for line in summary(shell)["local"]} == {"deleted"}
    assert files(directory).keys() == {"bot.db.backup", "other.db"}


@pytest.mark.parametrize("what", ["bot.db", "store/session.json", "store"])
def test_a_file_that_replaces_another_after_the_check_is_not_deleted(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    used(directory)
    delete = OwnFiles.delete
    swapped: list[Path] = []

    def swap_first(own: OwnFiles, path: Path) -> None:
        if not swapped:
            swapped.append(path)
            (directory / what).rename(directory / "moved")
            (directory / what).write_text("mine")
        delete(own, path)

    monkeypatch.setattr("cli.reset_files.OwnFiles.delete", swap_first)
    result = shell("reset", "--json")
    assert result.code == 1
    assert "another file has this name now" in result.err
    assert "failed" in {line["action"] for line in json.loads(result.out)["local"]}
    assert (directory / what).read_text() == "mine"


def test_a_file_that_cant_be_deleted_is_reported_with_advice(
    shell: Shell, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(directory)
    before = files(directory)

    def refuse(name: str, *, dir_fd: int) -> None:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("cli.open_paths.os.unlink", refuse)
    result = shell("reset", "--json")
    assert result.code == 1
    assert f"{directory / 'bot.db'}: Permission denied" in result.err
    lines = json.loads(result.out)["local"]
    assert {line["action"] for line in lines} == {"failed"}
    assert lines[0]["error"] == "Permission denied"
    assert all("left as it is" in line["error"] for line in lines[1:])
    assert files(directory) == before
    assert "failed" in shell("reset").out


def test_help_is_complete_and_says_that_it_is_for_development(shell: Shell) -> None:
    out = " ".join(shell("reset", "--help").out.split())
    for text in ("for development and QA only", "local-only", "--dry-run", "--yes", "--json"):
        assert text in out


def test_an_unknown_mode_is_wrong_usage(shell: Shell) -> None:
    assert shell("reset", "--mode", "everything").code == 2

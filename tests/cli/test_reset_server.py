"""`reset --mode server-leave-forget` with a fake account: dry run, real run, refusals."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.app import main
from store.lock import DaemonLock
from tests.cli.fake_account import BOT, FakeAccount
from tests.cli.shell import Result, Shell
from tests.store.samples import files

WOULD = ["would_leave_and_forget"] * 3 + ["would_decline"]
DONE = ["left_and_forgotten"] * 3 + ["declined"]
MODE = ("reset", "--mode", "server-leave-forget")


class Terminal(io.StringIO):
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount(
        joined={"!b:x": "Chat 1", "!a:x": "Lambda — Anna", "!c:x": ""}, invited={"!0:x": "Hello"}
    )


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: FakeAccount) -> Path:
    """A working directory and a configured account, without any local file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATRIX_HOMESERVER", "https://matrix.example.org")
    monkeypatch.setenv("MATRIX_USER_ID", BOT)
    monkeypatch.setenv("MATRIX_PASSWORD", "a password")
    for variable in ("MATRIX_ACCESS_TOKEN", "MATRIX_DB_PATH", "MATRIX_STORE_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("cli.reset.any_session", account.session())
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


@pytest.fixture
def shell(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(monkeypatch, capsys)


def summary_of(result: Result) -> Any:
    return json.loads(result.out)


def test_every_room_is_left_and_forgotten_and_every_invitation_turned_down(
    shell: Shell, account: FakeAccount
) -> None:
    result = shell(*MODE, "--yes", "--json")
    assert result.code == 0
    assert summary_of(result)["server"] == [
        {"room_id": "!a:x", "name": "Lambda — Anna", "action": "left_and_forgotten"},
        {"room_id": "!b:x", "name": "Chat 1", "action": "left_and_forgotten"},
        {"room_id": "!c:x", "name": "", "action": "left_and_forgotten"},
        {"room_id": "!0:x", "name": "Hello", "action": "declined"},
    ]
    assert account.posts == [
        (deed, room) for room in ("!a:x", "!b:x", "!c:x", "!0:x") for deed in ("leave", "forget")
    ]


def test_the_summary_is_the_object_of_contract_x4(shell: Shell) -> None:
    for arguments in (("--dry-run",), ("--yes",)):
        found = summary_of(shell(*MODE, "--json", *arguments))
        assert list(found) == ["mode", "dry_run", "local", "server", "manual_steps"]
        assert (found["mode"], found["local"]) == ("server-leave-forget", [])
        assert found["dry_run"] is (arguments == ("--dry-run",))
        steps = " ".join(found["manual_steps"])
        for text in ("eave or archive the old rooms and the Space", "accept its new invites"):
            assert text in steps


def test_it_never_claims_that_rooms_are_deleted(shell: Shell) -> None:
    for arguments in (("--dry-run",), ("--yes",)):
        out = shell(*MODE, *arguments).out
        assert "for development and QA only" in out
        assert "No room is deleted on the server" in out
        assert "deleted" not in out.replace("No room is deleted on the server", "")
        assert "delete " not in out


def test_a_dry_run_does_nothing_at_all(shell: Shell, directory: Path, account: FakeAccount) -> None:
    found = summary_of(shell(*MODE, "--dry-run", "--json"))
    assert [line["action"] for line in found["server"]] == WOULD
    assert account.posts == []
    assert files(directory) == {}


def test_a_real_run_leaves_local_files_as_they_are(shell: Shell, directory: Path) -> None:
    (directory / "lambda_matrix.db").write_text("kept")
    (directory / "lambda_matrix.db.lock").write_text("123")
    before = files(directory)
    shell(*MODE, "--yes")
    assert files(directory) == before


def test_a_room_that_cant_be_left_is_reported_and_the_others_are_done(
    shell: Shell, account: FakeAccount
) -> None:
    account.refusing = frozenset({"!b:x"})
    result = shell(*MODE, "--yes", "--json")
    assert result.code == 1
    assert "1 of 4 rooms could not be left" in result.err
    lines = {line["room_id"]: line for line in summary_of(result)["server"]}
    assert lines["!b:x"]["action"] == "failed"
    assert "you may not" in lines["!b:x"]["error"]
    assert {lines[room]["action"] for room in ("!a:x", "!c:x")} == {"left_and_forgotten"}
    assert lines["!0:x"]["action"] == "declined"
    assert all("error" not in lines[room] for room in ("!a:x", "!c:x", "!0:x"))
    assert list(account.joined) == ["!b:x"]


def test_an_outage_in_the_middle_fails_the_other_rooms(shell: Shell, account: FakeAccount) -> None:
    account.dies_at = "!b:x"
    result = shell(*MODE, "--yes", "--json")
    assert result.code == 1
    actions = [line["action"] for line in summary_of(result)["server"]]
    assert actions == ["left_and_forgotten", "failed", "failed", "failed"]
    assert "does not answer" in summary_of(result)["server"][3]["error"]


@pytest.mark.slow
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.dictionaries(
        st.integers(0, 40).map("!{}:x".format), st.sampled_from(["", "Chat 1", "Чат", "a\nb"])
    ),
    invited=st.sets(st.integers(0, 40).map("!{}:x".format)),
    refusing=st.sets(st.integers(0, 40).map("!{}:x".format)),
)
def test_what_the_dry_run_lists_is_what_the_real_run_does(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, str],
    invited: set[str],
    refusing: set[str],
) -> None:
    account = FakeAccount(
        joined={room: name for room, name in names.items() if room not in invited},
        invited={room: names.get(room, "") for room in invited},
        refusing=frozenset(refusing),
    )
    with monkeypatch.context() as patch:
        patch.setattr("cli.reset.any_session", account.session())
        shell = Shell(patch, capsys)
        planned = summary_of(shell(*MODE, "--dry-run", "--json"))
        assert account.posts == []
        result = shell(*MODE, "--yes", "--json")
    done = summary_of(result)
    rooms = {*names, *invited}
    assert [(line["room_id"], line["name"]) for line in planned["server"]] == [
        (line["room_id"], line["name"]) for line in done["server"]
    ]
    assert {line["room_id"] for line in done["server"]} == rooms
    for line in done["server"]:
        expected = "declined" if line["room_id"] in invited else "left_and_forgotten"
        assert line["action"] == ("failed" if line["room_id"] in refusing else expected)
    assert {*account.joined, *account.invited} == rooms & refusing
    assert result.code == (1 if rooms & refusing else 0)


def test_without_a_terminal_it_needs_yes(shell: Shell, account: FakeAccount) -> None:
    result = shell(*MODE)
    assert (result.code, result.out) == (2, "")
    assert "--yes" in result.err
    assert account.posts == []


@pytest.mark.parametrize("typed", [BOT, "leave", f"  {BOT}  "])
def test_on_a_terminal_it_asks_for_a_typed_confirmation(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    account: FakeAccount,
    typed: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(f"{typed}\n"))
    result = Shell(monkeypatch, capsys)(*MODE, "--json")
    assert result.code == 0
    assert len(account.posts) == 8
    assert "would leave and forget  !b:x  Chat 1" in result.err
    assert [line["action"] for line in summary_of(result)["server"]] == DONE


@pytest.mark.parametrize("typed", ["", "yes\n", "LEAVE\n", "@other:example.org\n", "\n"])
def test_anything_else_that_is_typed_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    account: FakeAccount,
    typed: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "argv", ["surfaces-bot", *MODE])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert "not confirmed" in err.splitlines()[-1]
    assert account.posts == []
    assert files(directory) == {}


def test_a_terminal_does_not_have_to_confirm_a_dry_run(
    monkeypatch: pytest.MonkeyPatch, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert Shell(monkeypatch, capsys)(*MODE, "--dry-run").code == 0


@pytest.mark.parametrize("held", ["database", "store"])
def test_it_refuses_while_a_daemon_holds_the_database_or_the_store(
    shell: Shell, directory: Path, account: FakeAccount, held: str
) -> None:
    database = directory / ("lambda_matrix.db" if held == "database" else "other.db")
    with DaemonLock(database, directory / "matrix_store" if held == "store" else None):
        result = shell(*MODE, "--yes")
    assert (result.code, result.out) == (5, "")
    assert account.posts == []


def test_a_dry_run_works_beside_a_daemon_and_says_so(shell: Shell, directory: Path) -> None:
    with DaemonLock(directory / "lambda_matrix.db"):
        result = shell(*MODE, "--dry-run", "--json")
    assert result.code == 0
    assert [line["action"] for line in summary_of(result)["server"]] == WOULD
    assert "held by another daemon" in result.err


def test_it_needs_the_account_and_names_all_missing_variables(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"):
        monkeypatch.delenv(variable)
    result = shell(*MODE, "--dry-run")
    assert result.code == 2
    for variable in ("MATRIX_HOMESERVER", "MATRIX_USER_ID", "MATRIX_PASSWORD"):
        assert variable in result.err


def test_settings_of_agents_are_not_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_PLATFORM_BACKEND", "real")
    monkeypatch.setenv("AGENT_TIMEOUT_S", "soon")
    assert shell(*MODE, "--dry-run").code == 0


def test_an_account_without_rooms_has_nothing_to_leave(shell: Shell, account: FakeAccount) -> None:
    account.joined, account.invited = {}, {}
    result = shell(*MODE, "--yes")
    assert result.code == 0
    assert "the bot is in no room" in result.out

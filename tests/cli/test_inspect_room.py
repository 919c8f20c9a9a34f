"""`inspect-room`: one room exactly as contract I3 says, all rooms, and advice where there is nothing to show."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from machines.ids import AgentId, EventId, RoomId, UserId
from machines.room.machine import ROOM
from machines.room.state import Room, RoomState
from machines.user.machine import User
from store.lock import DaemonLock
from store.records import FailedTurn, UnitOfWork
from tests.cli.shell import Shell
from tests.store.samples import (
    CHAT,
    NOON,
    QUIET,
    SPACE,
    busy_chat,
    chat_room,
    connect,
    files,
    moved,
    save,
)

I3_KEYS = [
    *("room_id", "state", "state_since", "reason", "chat_id", "platform_chat_id", "space_id"),
    *("matrix_user_id", "agent_id", "room_type", "name", "archived", "inbox_pending"),
    *("outbox_pending", "turn", "allowed_events", "transitions"),
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that names nothing of the account."""
    monkeypatch.chdir(tmp_path)
    for variable in ("MATRIX_DB_PATH", "MATRIX_STORE_PATH", "MATRIX_HOMESERVER", "MATRIX_USER_ID"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def shell(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture
def path(directory: Path) -> Iterator[Path]:
    """A database that a daemon has open, with one busy chat and one quiet entry room."""
    path = directory / "lambda_matrix.db"
    with closing(connect(path)) as raw:
        busy_chat(raw)
        yield path


def inspected(shell: Shell, *arguments: object) -> Any:
    result = shell("inspect-room", "--json", *arguments)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_json_of_a_busy_chat_is_exactly_that_of_contract_i3(shell: Shell, path: Path) -> None:
    found = inspected(shell, CHAT)
    assert {key: found[key] for key in I3_KEYS} == {
        "room_id": CHAT,
        "state": "bound",
        "state_since": "2026-01-31T12:00:00.000Z",
        "reason": "as it should be",
        "chat_id": "C1",
        "platform_chat_id": "7",
        "space_id": SPACE,
        "matrix_user_id": "@anna:example.org",
        "agent_id": "default",
        "room_type": "chat",
        "name": "Chat 1",
        "archived": False,
        "inbox_pending": 2,
        "outbox_pending": 1,
        "turn": {
            "turn_id": "$question",
            "state": "streaming",
            "tries": 2,
            "begun_at": "2026-01-31T12:00:01.000Z",
            "gives_up_at": "2026-01-31T12:02:01.000Z",
            "retry_at": None,
            "fault": "the agent was busy",
            "reply_events": ["$reply"],
        },
        "allowed_events": list(ROOM.accepts("bound")),
        "transitions": [
            {
                "at": "2026-01-31T11:59:59.000Z",
                "event": "room_made",
                "source": "unregistered",
                "target": "reconciling",
                "reason": "because of room_made",
            },
            {
                "at": "2026-01-31T12:00:00.000Z",
                "event": "topology_confirmed",
                "source": "reconciling",
                "target": "bound",
                "reason": "because of topology_confirmed",
            },
        ],
    }
    assert list(found)[: len(I3_KEYS)] == I3_KEYS


def test_json_of_a_room_without_a_binding_has_all_keys_too(shell: Shell, path: Path) -> None:
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=Room(RoomId("!new:example.org"), since=NOON)))
    found = inspected(shell, "!new:example.org")
    assert list(found)[: len(I3_KEYS)] == I3_KEYS
    assert found["state"] == "unregistered"
    assert [found[key] for key in ("chat_id", "room_type", "turn")] == [None, None, None]
    assert found["archived"] is False


def test_failed_turns_are_shown_with_their_fault(shell: Shell, path: Path) -> None:
    assert inspected(shell, CHAT)["failed_turns"] == []
    assert "failed turns" not in shell("inspect-room", CHAT).out
    failed = FailedTurn(CHAT, NOON, EventId("$asked"), AgentId("coder"), "silent", "nothing came")
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(failed_turns=(failed,)))
    assert inspected(shell, CHAT)["failed_turns"] == [
        {
            "at": "2026-01-31T12:00:00.000Z",
            "turn": "$asked",
            "agent_id": "coder",
            "kind": "silent",
            "reason": "nothing came",
        }
    ]
    page = shell("inspect-room", CHAT).out
    line = page.partition("Last failed turns\n")[2].splitlines()[0]
    assert line.startswith("  2026-01-31 12:00:00 UTC")
    assert line.endswith("$asked  agent coder  silent — nothing came")


@pytest.mark.parametrize("state", ROOM.states)
def test_the_allowed_events_are_those_of_the_machine(
    shell: Shell, path: Path, state: RoomState
) -> None:
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=Room(CHAT, state, NOON, "")))
    accepted = inspected(shell, CHAT)["allowed_events"]
    assert accepted == list(ROOM.accepts(state))
    assert "user_wrote" in accepted


def test_one_of_a_kind_is_written_in_the_singular(shell: Shell, directory: Path) -> None:
    with closing(connect(directory / "lambda_matrix.db")) as raw:
        save(raw, UnitOfWork(room=chat_room(), user=User(UserId("@anna:example.org"))))
        assert "1 room, 1 user, 0 turns in progress" in shell("inspect-room").out


def test_without_a_room_the_bot_and_all_rooms_are_shown(shell: Shell, path: Path) -> None:
    found = inspected(shell)
    assert list(found) == ["bot", "rooms"]
    assert found["rooms"] == [inspected(shell, CHAT), inspected(shell, QUIET)]
    bot = found["bot"]
    assert (bot["state"], bot["reason"], bot["running"]) == ("stopped", "never started", False)


def test_it_shows_whether_a_daemon_holds_the_database(shell: Shell, path: Path) -> None:
    with DaemonLock(path):
        assert inspected(shell)["bot"]["running"] is True
    assert inspected(shell)["bot"]["running"] is False


def test_text_has_one_line_for_each_room(shell: Shell, path: Path) -> None:
    lines = shell("inspect-room").out.splitlines()
    (line,) = (line for line in lines if CHAT in line)
    assert line.split()[:3] == ["bound", "chat", "C1"]
    assert "inbox 2" in line
    assert "turn streaming" in line
    assert sum(QUIET in line for line in lines) == 1


def test_text_shows_all_of_contract_i2(shell: Shell, path: Path) -> None:
    out = shell("inspect-room", CHAT).out
    for expected in (
        "● bound since 2026-01-31 12:00:00 UTC",
        "— as it should be",
        "owner           @anna:example.org",
        "inbox           2",
        "outbox          1",
        "tries           2",
        "last fault      the agent was busy",
        "set aside: message $unreadable — no key to read it",
        "unregistered → reconciling  room_made",
        ", ".join(ROOM.accepts("bound")),
    ):
        assert expected in out


def test_a_failed_room_shows_its_report_and_the_time_of_the_next_repair(
    shell: Shell, path: Path
) -> None:
    report = {"remarks": [{"room_id": CHAT, "reason": "linked by another"}]}
    refused = moved(CHAT, "topology_refused", "reconciling", "failed")
    failed = Room(CHAT, "failed", NOON, "linked by another", last_repair_at=NOON)
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=failed, transitions=(replace(refused, report=report),)))
    found = inspected(shell, CHAT)
    assert found["report"] == report
    assert found["repair_not_before"] == "2026-01-31T12:01:00.000Z"
    page = shell("inspect-room", CHAT).out
    assert "● failed since 2026-01-31 12:00:00 UTC" in page
    assert "another repair, at the earliest 2026-01-31 12:01:00 UTC" in page
    assert '"remarks"' in page


def test_output_elsewhere_than_on_a_terminal_is_plain_text(shell: Shell, path: Path) -> None:
    assert "\x1b" not in shell("inspect-room", CHAT).out + shell("inspect-room").out


def test_names_can_neither_move_the_cursor_nor_be_read_as_markup(shell: Shell, path: Path) -> None:
    with closing(connect(path)) as raw:
        save(raw, UnitOfWork(room=chat_room(name="[red]\x1b[2J\nfake line\x9b\u202e")))
    for out in (shell("inspect-room", CHAT).out, shell("inspect-room").out):
        assert r"[red]\x1b[2J\nfake line\x9b\u202e" in out
        assert "\x1b" not in out
    assert inspected(shell, CHAT)["name"] == "[red]\x1b[2J\nfake line\x9b\u202e"


def test_an_unknown_room_is_wrong_usage_and_the_nearest_are_named(shell: Shell, path: Path) -> None:
    result = shell("inspect-room", "!quit:example.org")
    assert result.code == 2
    assert result.out == ""
    near = result.err.partition("known:")[2]
    assert near.index(QUIET) < near.index(CHAT)


def test_an_unknown_room_among_none_is_wrong_usage_too(shell: Shell, directory: Path) -> None:
    connect(directory / "lambda_matrix.db").close()
    result = shell("inspect-room", CHAT)
    assert result.code == 2
    assert "no other room" in result.err


def test_a_missing_database_says_what_to_do_and_is_not_created(
    shell: Shell, directory: Path
) -> None:
    result = shell("inspect-room")
    assert result.code == 2
    assert "MATRIX_DB_PATH" in result.err
    assert "lambda_matrix.db" in result.err
    assert files(directory) == {}


def test_an_unreadable_database_exits_4_with_the_reason(shell: Shell, directory: Path) -> None:
    (directory / "lambda_matrix.db").write_text("dear diary")
    result = shell("inspect-room", CHAT)
    assert result.code == 4
    assert "is not a SQLite database" in result.err


def test_the_path_comes_from_the_environment_file_as_well(shell: Shell, directory: Path) -> None:
    with closing(connect(directory / "elsewhere.db")) as raw:
        save(raw, UnitOfWork(room=chat_room()))
    (directory / ".env").write_text("MATRIX_DB_PATH=elsewhere.db\nMATRIX_USER_ID=nonsense\n")
    assert inspected(shell, CHAT)["name"] == "Chat 1"


def test_no_file_is_created_or_changed(shell: Shell, directory: Path) -> None:
    with closing(connect(directory / "lambda_matrix.db")) as raw:
        busy_chat(raw)
    before = files(directory)
    for arguments in ((), (CHAT,), ("--json",), (CHAT, "--diagram", "svg"), ("!x:example.org",)):
        shell("inspect-room", *arguments)
    assert files(directory) == before


def test_a_long_history_is_cut_unless_last_asks_for_more(shell: Shell, path: Path) -> None:
    with closing(connect(path)) as raw:
        transitions = tuple(
            moved(CHAT, f"event_{number:03}", "bound", "failed", NOON + number)
            for number in range(150)
        )
        save(raw, UnitOfWork(transitions=transitions))
    shown = inspected(shell, CHAT)["transitions"]
    assert (len(shown), shown[-1]["event"]) == (100, "event_149")
    assert len(inspected(shell, CHAT, "--last", 130)["transitions"]) == 130
    page = shell("inspect-room", CHAT).out
    assert page.count("because of event_") == 12
    assert "event_149" in page


@pytest.mark.parametrize("option", ["--server", "--diagram=text"])
def test_an_option_about_one_room_needs_a_room_id(shell: Shell, path: Path, option: str) -> None:
    result = shell("inspect-room", option)
    assert result.code == 2
    assert "inspect-room ROOM_ID" in result.err


def test_asking_the_homeserver_needs_the_daemons_session(shell: Shell, path: Path) -> None:
    result = shell("inspect-room", CHAT, "--server")
    assert result.code == 2
    assert "MATRIX_STORE_PATH" in result.err


def test_the_drawing_is_printed_alone_or_as_a_key_of_the_json(shell: Shell, path: Path) -> None:
    drawing = shell("inspect-room", CHAT, "--diagram", "mermaid").out
    assert drawing.startswith("stateDiagram-v2\n")
    found = inspected(shell, CHAT, "--diagram", "mermaid")
    assert found["diagram"] == drawing
    assert found["room_id"] == CHAT


def test_an_unknown_kind_of_drawing_is_wrong_usage(shell: Shell, path: Path) -> None:
    assert shell("inspect-room", CHAT, "--diagram", "png").code == 2


def test_help_is_complete(shell: Shell) -> None:
    out = shell("inspect-room", "--help").out
    for option in ("ROOM_ID", "--json", "--diagram", "--server", "--last", "MATRIX_DB_PATH"):
        assert option in out

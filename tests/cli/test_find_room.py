"""`inspect-room` finds a room by id, chat number, name and owner, and guesses nothing (contract I6)."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from machines.errors import CredentialsRefused
from machines.ids import AgentId, RoomId, UserId
from machines.room.binding import Binding
from machines.room.state import Room
from store.records import UnitOfWork
from tests.cli.shell import Shell
from tests.store.samples import NOON, connect, save

ANNA = UserId("@anna:example.org")
BERT = UserId("@bert:example.org")
OTHER_ANNA = UserId("@anna:elsewhere.org")


def chat(room_id: str, owner: UserId, chat_id: str, name: str) -> Room:
    number = str(sum(map(ord, room_id)) * 100 + len(room_id))
    binding = Binding("chat", owner, chat_id, number, AgentId("default"), RoomId("!space"))
    return Room(RoomId(room_id), "bound", NOON, "", binding, name)


ROOMS = [
    chat("!anna1:x", ANNA, "C1", "Chat 1"),
    chat("!anna2:x", ANNA, "C2", "Recipes"),
    chat("!anna3:x", ANNA, "C3", "recipes"),
    chat("!anna4:x", ANNA, "C4", "Holidays \x1b[2J"),
    chat("!bert1:x", BERT, "C1", "Chat 1"),
    chat("!bert5:x", BERT, "C5", "C2"),
    chat("!other:x", OTHER_ANNA, "C7", "!anna1:x"),
    Room(RoomId("!entry:x"), "bound", NOON, "", Binding("entry", ANNA), "Recipes"),
    Room(RoomId("!hello:x"), "bound", NOON, "", Binding("entry", BERT), "Hello bot"),
]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    for variable in ("MATRIX_DB_PATH", "MATRIX_STORE_PATH"):
        monkeypatch.delenv(variable, raising=False)
    with closing(connect(tmp_path / "lambda_matrix.db")) as raw:
        save(raw, *(UnitOfWork(room=room) for room in ROOMS))
        yield Shell(monkeypatch, capsys)


def found(shell: Shell, *arguments: str) -> str:
    result = shell("inspect-room", "--json", *arguments)
    assert result.code == 0, result.err
    return str(json.loads(result.out)["room_id"])


def listed(shell: Shell, *arguments: str) -> set[str]:
    """Return the rooms that a refusal lists."""
    result = shell("inspect-room", "--json", *arguments)
    assert (result.code, result.out) == (2, "")
    return {room.room_id for room in ROOMS if f"{room.room_id} (" in result.err}


@pytest.mark.parametrize(
    ("arguments", "room_id"),
    [
        (["C3"], "!anna3:x"),
        (["c3"], "!anna3:x"),
        (["C1", "--user", "@bert:example.org"], "!bert1:x"),
        (["C1", "--user", "bert"], "!bert1:x"),
        (["c1", "--user", "@anna"], "!anna1:x"),
        (["Chat 1", "--user", BERT], "!bert1:x"),
        (["chat  1", "--user", BERT], "!bert1:x"),
        (["hello bot"], "!hello:x"),
        (["Recipes"], "!anna2:x"),
        (["recipes"], "!anna3:x"),
    ],
)
def test_a_room_is_found_by_number_name_and_owner(
    shell: Shell, arguments: list[str], room_id: str
) -> None:
    assert found(shell, *arguments) == room_id


def test_a_room_id_wins_over_a_name(shell: Shell) -> None:
    assert found(shell, "!anna1:x") == "!anna1:x"
    assert found(shell, "!anna1:x", "--user", "bert") == "!anna1:x"


@pytest.mark.parametrize(
    ("arguments", "candidates"),
    [
        (["C1"], {"!anna1:x", "!bert1:x"}),
        (["Chat 1"], {"!anna1:x", "!bert1:x"}),
        (["RECIPES"], {"!anna2:x", "!anna3:x"}),
        (["C2"], {"!anna2:x", "!bert5:x"}),
        ([BERT], {"!bert1:x", "!bert5:x", "!hello:x"}),
    ],
)
def test_of_several_rooms_all_are_listed_and_none_is_chosen(
    shell: Shell, arguments: list[str], candidates: set[str]
) -> None:
    assert listed(shell, *arguments) == candidates


def test_the_owner_is_advised_only_where_it_decides(shell: Shell) -> None:
    assert "--user" in shell("inspect-room", "C1").err
    assert "--user" not in shell("inspect-room", "RECIPES").err
    assert "--user" not in shell("inspect-room", BERT).err


def test_a_chat_whose_name_begins_like_a_user_is_found_by_its_name(
    shell: Shell, tmp_path: Path
) -> None:
    with closing(connect(tmp_path / "lambda_matrix.db")) as raw:
        save(raw, UnitOfWork(room=replace(ROOMS[0], name="@home")))
    assert found(shell, "@home") == "!anna1:x"


def test_a_listed_room_has_number_name_and_owner(shell: Shell) -> None:
    err = shell("inspect-room", "C1").err
    assert "2 rooms match “C1”" in err
    assert "--user" in err
    assert "!anna1:x (C1, “Chat 1”, @anna:example.org)" in err
    assert "!bert1:x (C1, “Chat 1”, @bert:example.org)" in err


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("Holiday", "!anna4:x"),
        ("!anma1:x", "!anna1:x"),
        ("helo bot", "!hello:x"),
        ("C8", "!other:x"),
    ],
)
def test_of_an_unknown_room_the_nearest_ids_names_and_numbers_are_listed(
    shell: Shell, text: str, nearest: str
) -> None:
    assert nearest in listed(shell, text)


def test_the_nearest_are_rooms_of_the_given_owner(shell: Shell) -> None:
    assert listed(shell, "C3", "--user", "bert") <= {"!bert1:x", "!bert5:x", "!hello:x"}


def test_an_unknown_owner_is_wrong_usage_and_the_nearest_are_named(shell: Shell) -> None:
    result = shell("inspect-room", "C1", "--user", "@berta:example.org")
    assert result.code == 2
    assert BERT in result.err
    assert shell("inspect-room", "--user", "nobody").code == 2


def test_an_owner_alone_shows_their_rooms(shell: Shell) -> None:
    result = shell("inspect-room", "--json", "--user", "bert")
    assert [room["room_id"] for room in json.loads(result.out)["rooms"]] == [
        *("!bert1:x", "!bert5:x", "!hello:x")
    ]


def test_names_in_a_list_can_not_move_the_cursor(shell: Shell) -> None:
    assert "\x1b" not in shell("inspect-room", "holidays").err


def test_an_alias_without_a_session_says_what_else_can_be_used(shell: Shell) -> None:
    result = shell("inspect-room", "#recipes:example.org")
    assert result.code == 2
    assert "#recipes:example.org" in result.err
    assert "chat number" in result.err


def test_a_session_that_the_homeserver_refuses_is_exit_code_3(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> RoomId:
        raise CredentialsRefused("the homeserver ended the session")

    monkeypatch.setattr("cli.inspect_server._resolve", refused)
    result = shell("inspect-room", "#recipes:example.org")
    assert result.code == 3
    assert "chat number" in result.err


def test_a_chat_whose_name_looks_like_an_alias_is_found_without_the_homeserver(
    shell: Shell, tmp_path: Path
) -> None:
    with closing(connect(tmp_path / "lambda_matrix.db")) as raw:
        save(raw, UnitOfWork(room=replace(ROOMS[0], name="#recipes:example.org")))
    assert found(shell, "#recipes:example.org") == "!anna1:x"

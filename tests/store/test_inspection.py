"""Snapshots of a room, of all rooms, and of the bot: all rows, counted, and no message text."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from machines.ids import AgentId, EventId, RoomId
from machines.room.state import Room
from store import writing
from store.inbox import put_matrix_events
from store.inspection import bot_snapshot, room_snapshot, room_snapshots, seen_rooms
from store.records import FailedTurn, UnitOfWork
from tests.store.samples import (
    CHAT,
    NOON,
    QUIET,
    busy_chat,
    chat_room,
    connect,
    message,
    moved,
    order,
    save,
    streaming_turn,
)


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "bot.db")) as raw:
        yield raw


def test_the_snapshot_of_a_busy_chat_shows_all_pending_work(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    sight = room_snapshot(raw, CHAT, 10)
    assert sight is not None
    assert sight.room == chat_room()
    assert sight.turn == streaming_turn()
    assert sight.reply_events == ("$reply",)
    assert sight.inbox_pending == 2
    assert sight.outbox_pending == 1
    assert [(item.fate, item.kind, item.reason) for item in sight.failures] == [
        ("refused", "send_message", "too large"),
        ("set_aside", "message", "no key to read it"),
        ("quarantined", "timeline", "the event has no type"),
    ]
    assert [each.event for each in sight.transitions] == ["room_made", "topology_confirmed"]


def test_no_message_text_is_shown(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    sight = room_snapshot(raw, CHAT, 10)
    assert sight is not None
    assert "a secret of hers" not in repr(replace(sight, turn=None))


def test_rows_of_one_room_are_not_shown_in_another(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    quiet = room_snapshot(raw, QUIET, 10)
    assert quiet is not None
    assert (quiet.inbox_pending, quiet.outbox_pending, quiet.turn) == (0, 0, None)
    assert (quiet.failures, quiet.failures_total, quiet.transitions) == ((), 0, ())


def test_orders_of_a_user_for_a_room_are_counted_in_that_room(raw: sqlite3.Connection) -> None:
    save(raw, UnitOfWork(room=chat_room(), orders=(order("welcome", actor="@anna:example.org"),)))
    sight = room_snapshot(raw, CHAT, 10)
    assert sight is not None
    assert sight.outbox_pending == 1


def test_snapshots_of_all_rooms_equal_those_of_each(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    assert room_snapshots(raw, 10) == tuple(room_snapshot(raw, each, 10) for each in (CHAT, QUIET))


def test_only_the_last_transitions_are_shown_newest_last(raw: sqlite3.Connection) -> None:
    transitions = tuple(
        moved(CHAT, f"event_{number}", "bound", "failed", NOON + number) for number in range(5)
    )
    save(raw, UnitOfWork(room=chat_room(), transitions=transitions))
    sight = room_snapshot(raw, CHAT, 2)
    assert sight is not None
    assert [each.event for each in sight.transitions] == ["event_3", "event_4"]


def test_the_newest_report_is_found_behind_later_transitions(raw: sqlite3.Connection) -> None:
    refused = replace(
        moved(CHAT, "topology_refused", "reconciling", "failed"), report={"remarks": [1]}
    )
    save(
        raw,
        UnitOfWork(
            room=chat_room(),
            transitions=(refused, moved(CHAT, "user_wrote", "failed", "reconciling")),
        ),
    )
    sight = room_snapshot(raw, CHAT, 1)
    assert sight is not None
    assert sight.report == {"remarks": [1]}


def failed_turn(number: int, room_id: RoomId = CHAT) -> FailedTurn:
    turn_id = EventId(f"$question-{number}")
    return FailedTurn(
        room_id, NOON + number, turn_id, AgentId("default"), "unreachable", "no agent is there"
    )


def test_the_last_ten_failed_turns_of_a_room_are_kept_newest_last(
    raw: sqlite3.Connection,
) -> None:
    save(raw, UnitOfWork(room=Room(QUIET), failed_turns=(failed_turn(0, QUIET),)))
    for number in range(25):
        save(raw, UnitOfWork(room=chat_room(), failed_turns=(failed_turn(number),)))
    sight = room_snapshot(raw, CHAT, 1)
    assert sight is not None
    assert sight.failed_turns == tuple(failed_turn(number) for number in range(15, 25))
    quiet = room_snapshot(raw, QUIET, 1)
    assert quiet is not None
    assert quiet.failed_turns == (failed_turn(0, QUIET),)
    assert raw.execute("SELECT count(*) FROM failed_turns").fetchone()[0] == 11


def test_old_failed_turns_are_pruned(raw: sqlite3.Connection) -> None:
    save(raw, UnitOfWork(room=chat_room(), failed_turns=(failed_turn(1), failed_turn(2))))
    writing.prune(raw, NOON + 2)
    sight = room_snapshot(raw, CHAT, 1)
    assert sight is not None
    assert sight.failed_turns == (failed_turn(2),)


def test_of_many_failures_the_last_are_shown_and_all_are_counted(
    raw: sqlite3.Connection,
) -> None:
    orders = tuple(order(f"order-{number}") for number in range(5))
    save(raw, UnitOfWork(room=chat_room(), orders=orders))
    raw.execute("UPDATE outbox SET status = 'refused', reason = txn_id")
    sight = room_snapshot(raw, CHAT, 2)
    assert sight is not None
    assert sight.failures_total == 5
    assert [item.reason for item in sight.failures] == ["order-3", "order-4"]


def test_a_room_with_inbox_rows_only_is_shown(raw: sqlite3.Connection) -> None:
    new = RoomId("!new:example.org")
    put_matrix_events(raw, [message("$first", new)], NOON)
    sight = room_snapshot(raw, new, 10)
    assert sight is not None
    assert (sight.room.state, sight.room.since, sight.inbox_pending) == ("unregistered", NOON, 1)
    assert new in seen_rooms(raw)


def test_a_room_without_rows_is_not_shown(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    assert room_snapshot(raw, RoomId("!other:example.org"), 10) is None


def test_the_bot_shows_its_state_and_the_totals(raw: sqlite3.Connection) -> None:
    busy_chat(raw)
    save(raw, UnitOfWork(transitions=(moved("bot", "started", "stopped", "login"),)))
    bot = bot_snapshot(raw, 10)
    assert (bot.bot.bot_state.state, bot.bot.bot_state.reason) == ("stopped", "never started")
    assert (bot.rooms, bot.users, bot.turns) == (2, 0, 1)
    assert (bot.inbox_pending, bot.outbox_pending) == (2, 1)
    assert [item.reason for item in bot.failures] == ["the answer has no rooms"]
    assert [each.event for each in bot.transitions] == ["started"]

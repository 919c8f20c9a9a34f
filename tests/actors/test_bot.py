"""The bot from start to stop: nothing is handled before reconciliation, and nothing is lost at the end."""

from collections.abc import Sequence

import anyio
import pytest
from structlog.testing import capture_logs

from actors import bot
from actors.agent_calls import Limits
from machines.errors import CredentialsRefused, LoggedOut, TokenUnknown
from machines.events.agent import AgentEnd, AgentFailure, AgentTextChunk
from machines.events.matrix import BotRemoved, BotReturned, SyncBatch
from machines.events.orders import NameRoom, SendMessage
from machines.ids import EventId, RoomId, SyncToken
from machines.room.topology import Topology
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.support import CATALOG


async def test_the_bot_runs_through_its_states_and_each_is_saved_and_logged(
    runtime: RuntimeFixture,
):
    with capture_logs() as logs:
        async with runtime.running():
            pass
    path = ["login", "initial_sync", "reconcile", "live", "draining", "stopped"]
    assert [target for (target,) in runtime.bot_state()] == path
    changes = [line for line in logs if line["event"] == "bot_state_changed"]
    assert [line["to"] for line in changes] == path
    assert [line["from"] for line in changes][1:] == path[:-1]
    assert runtime.database.rows("SELECT state FROM bot") == [("stopped",)]


async def test_nothing_is_handled_before_reconciliation_is_complete(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.homeserver.first.append(SyncBatch(SyncToken("s0"), (runtime.message(room, "early"),)))
    with capture_logs() as logs:
        async with runtime.running():
            pass
    assert runtime.homeserver.replies == [("$1", "re: early")]
    events = [line["event"] for line in logs]
    assert events.count("matrix_reconcile_complete") == 1
    assert events.index("matrix_reconcile_complete") < events.index("bot_live")
    bound_at = runtime.database.rows(
        "SELECT min(seq) FROM transitions WHERE subject = ? AND target = 'bound'", room
    )
    live_at = runtime.database.rows(
        "SELECT seq FROM transitions WHERE subject = 'bot' AND target = 'live'"
    )
    assert bound_at < live_at
    assert not any(call.startswith("observe_room") for call in runtime.homeserver.calls)


async def test_while_reconciliation_hangs_no_message_is_handled(
    runtime: RuntimeFixture, monkeypatch
):
    (room,) = runtime.with_chats()
    runtime.homeserver.first.append(SyncBatch(SyncToken("s0"), (runtime.message(room, "early"),)))
    gate = anyio.Event()
    hanging = runtime.bot()
    reconcile = hanging._reconciler.reconcile_matrix_state

    async def hang(topology):
        await gate.wait()
        return await reconcile(topology)

    monkeypatch.setattr(hanging._reconciler, "reconcile_matrix_state", hang)
    async with anyio.create_task_group() as group:
        group.start_soon(hanging.run)
        await settle()
        assert runtime.agents.requests == []
        assert runtime.homeserver.performed == []
        assert [target for (target,) in runtime.bot_state()][-1] == "reconcile"
        gate.set()
        await settle()
        assert [request.text for request in runtime.agents.requests] == ["early"]
        hanging.stop()


async def test_a_second_start_without_changes_writes_nothing(runtime: RuntimeFixture):
    runtime.with_chats(3)
    async with runtime.running():
        pass
    tables = ("rooms", "users", "outbox", "inbox", "turns", "preferences")
    before = [runtime.database.rows(f"SELECT * FROM {table}") for table in tables]
    kept = runtime.database.rows("SELECT * FROM transitions WHERE subject != 'bot'")
    runtime.homeserver.performed.clear()
    with capture_logs() as logs:
        async with runtime.running():
            pass
    assert [runtime.database.rows(f"SELECT * FROM {table}") for table in tables] == before
    assert runtime.database.rows("SELECT * FROM transitions WHERE subject != 'bot'") == kept
    assert runtime.homeserver.performed == []
    (report,) = [line for line in logs if line["event"] == "matrix_reconcile_complete"]
    assert (report["rooms_unchanged"], report["rooms_recovered"], report["backfilled"]) == (4, 0, 0)


async def test_a_lost_database_is_rebuilt_with_the_same_values(runtime: RuntimeFixture, tmp_path):
    runtime.with_chats(3)
    columns = "room_id, chat_id, platform_chat_id, matrix_user_id, space_id, agent_id, archived"
    async with runtime.running():
        pass
    before = runtime.database.rows(f"SELECT {columns} FROM rooms")
    again = RuntimeFixture(tmp_path / "new.db")
    again.homeserver.rooms = runtime.homeserver.rooms
    async with again.running():
        pass
    assert again.database.rows(f"SELECT {columns} FROM rooms") == before
    again.database.raw.close()


async def test_damaged_rows_that_swapped_their_contexts_do_not_keep_it_from_going_live(runtime):
    first, second = runtime.with_chats(2)
    async with runtime.running():
        pass
    raw = runtime.database.raw
    for room_id, context in ((first, None), (second, "1"), (first, "2")):
        raw.execute("UPDATE rooms SET platform_chat_id = ? WHERE room_id = ?", (context, room_id))
    async with runtime.running():
        pass
    assert runtime.database.rows(
        "SELECT platform_chat_id FROM rooms WHERE chat_id IS NOT NULL ORDER BY room_id"
    ) == [("1",), ("2",)]
    assert runtime.bot_state()[-1] == ("stopped",)


async def test_a_batch_that_comes_twice_is_answered_once(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    message = runtime.message(room, "once")
    async with runtime.running():
        runtime.homeserver.next_sync(message)
        runtime.homeserver.next_sync(message)
    async with runtime.running():
        runtime.homeserver.next_sync(message)
    assert runtime.homeserver.replies == [("$1", "re: once")]


async def test_a_stop_drains_committed_orders_and_leaves_the_rest_in_rows(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("long")
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "long"))
    assert runtime.agents.closed == ["long"]
    assert runtime.database.rows("SELECT state FROM turns") == [("asking",)]
    assert runtime.bot_state()[-1] == ("stopped",)

    runtime.agents.silent.clear()
    async with runtime.running():
        pass
    assert runtime.homeserver.replies == [("$1", "re: long")]
    assert {request.message_id for request in runtime.agents.requests} == {"$1"}


async def test_a_stop_waits_a_bounded_time_for_the_homeserver(runtime: RuntimeFixture, monkeypatch):
    assert bot.DRAIN_S < 10.0  # contract L8
    monkeypatch.setattr(bot, "DRAIN_S", 0.1)  # real time
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 3600.0
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "hello"))
    assert runtime.homeserver.performed == []
    reasons = runtime.database.rows("SELECT reason FROM transitions WHERE target = 'stopped'")
    assert reasons == [("not everything could be sent in time",)]
    assert len(runtime.database.rows("SELECT 1 FROM outbox WHERE status = 'waiting'")) == 1


async def test_orders_of_an_earlier_process_are_performed_at_start(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.homeserver.delay_s = 3600.0
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(
            runtime.message(room, "hello"), runtime.message(room, "!rename x")
        )
    assert runtime.homeserver.performed == []
    runtime.homeserver.delay_s = 0.0
    async with runtime.running():
        pass
    assert ("$1", "re: hello") in runtime.homeserver.replies
    assert [type(order) for _, order in runtime.homeserver.performed].count(NameRoom) == 1
    assert runtime.database.rows("SELECT count(*) FROM outbox WHERE status = 'waiting'") == [(0,)]
    names = [txn_id for txn_id, _ in runtime.homeserver.performed]
    assert len(names) == len(set(names))


async def test_a_soft_logout_is_followed_by_a_login_and_no_second_reconciliation(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    with capture_logs() as logs:
        async with runtime.running():
            runtime.homeserver.next_error(LoggedOut("soft"))
            runtime.homeserver.next_sync(runtime.message(room, "still there?"))
    path = ["login", "initial_sync", "reconcile", "live", "login", "live", "draining", "stopped"]
    assert [target for (target,) in runtime.bot_state()] == path
    assert runtime.homeserver.replies == [("$1", "re: still there?")]
    assert sum(line["event"] == "matrix_reconcile_complete" for line in logs) == 1


@pytest.mark.parametrize("also_logged_out", [False, True])
async def test_a_token_that_is_not_accepted_is_replaced_by_a_full_sync(runtime, also_logged_out):
    (room,) = runtime.with_chats()
    async with runtime.running():
        if also_logged_out:
            runtime.homeserver.first.append(LoggedOut("soft"))
        runtime.homeserver.first.append(
            SyncBatch(SyncToken("fresh"), (runtime.message(room, "meanwhile"),))
        )
        runtime.homeserver.next_error(TokenUnknown("unknown token"))
    assert "sync fresh" in runtime.homeserver.calls
    assert runtime.homeserver.replies == [("$1", "re: meanwhile")]
    assert runtime.bot_state()[-1] == ("stopped",)


async def test_refused_credentials_end_the_bot_and_are_its_last_transition(runtime: RuntimeFixture):
    with capture_logs() as logs, pytest.raises(ExceptionGroup) as raised:
        async with runtime.running():
            runtime.homeserver.next_error(CredentialsRefused("the token ended"))
    assert raised.group_contains(CredentialsRefused)
    assert runtime.bot_state()[-1] == ("failed",)
    changes = [line for line in logs if line["event"] == "bot_state_changed"]
    assert [line["log_level"] for line in changes if line["to"] == "failed"] == ["error"]
    assert {line["log_level"] for line in changes if line["to"] != "failed"} == {"info"}


async def test_a_message_in_an_unknown_room_is_answered_after_one_repair(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    unseen, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    async with runtime.running():
        runtime.homeserver.rooms = unseen
        runtime.homeserver.next_sync(runtime.message(room, "one"), runtime.message(room, "two"))
    assert runtime.homeserver.calls.count(f"observe_room {room}") == 1
    assert [body for _, body in runtime.homeserver.replies] == ["re: one", "re: two"]


async def test_a_room_without_a_role_gets_one_warning_and_one_notice(runtime: RuntimeFixture):
    nowhere = RoomId("!nowhere")
    with capture_logs() as logs:
        async with runtime.running(killed=True):
            runtime.homeserver.next_sync(runtime.message(nowhere, "one"))
            runtime.homeserver.next_sync(runtime.message(nowhere, "two"))
            await settle()
            warnings = [line for line in logs if line["event"] == "room_recovery_failed"]
            assert len(warnings) == len(runtime.homeserver.sent_bodies) == 1
    assert (warnings[0]["log_level"], warnings[0]["room_id"]) == ("warning", nowhere)
    assert runtime.homeserver.sent_bodies[0] == CATALOG.room_recovery_failed()
    assert runtime.agents.requests == []


async def test_only_the_newest_repair_decides_about_a_room(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    unseen, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    gone, back = BotRemoved(room, None, None, "put out"), BotReturned(room, EventId("$back"))
    look, look_ends = runtime.homeserver.observe_room, anyio.Event()

    async def slow_repair(room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        topology = await look(room_id, spaces)
        await look_ends.wait()
        return topology

    runtime.homeserver.observe_room = slow_repair  # type: ignore[method-assign]
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "one"))
        await settle()
        runtime.homeserver.rooms = unseen
        runtime.homeserver.next_sync(gone, back)
        await settle()
        look_ends.set()
    assert runtime.homeserver.calls.count(f"observe_room {room}") == 2
    assert runtime.homeserver.sent_bodies == ["re: one"]


async def test_an_agent_that_breaks_off_is_asked_again_after_the_retry_delay(
    runtime: RuntimeFixture,
):
    (room,) = runtime.with_chats()
    tries = iter([[AgentTextChunk("half"), AgentFailure("broken_off", "gone")], None])
    usual = runtime.agents.answer

    def says(request):
        return next(tries) or usual(request)

    runtime.agents.answer = says
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "hello"))
        await runtime.clock.advance(5)
    assert [request.message_id for request in runtime.agents.requests] == ["$1", "$1"]
    last = [order for _, order in runtime.homeserver.performed if isinstance(order, SendMessage)][
        -1
    ]
    assert (last.body, last.answers, last.partial) == ("re: hello", "$1", False)


async def test_removal_of_the_bot_cancels_the_call(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("long")
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "long"))
        await settle()
        runtime.homeserver.next_sync(BotRemoved(room, None, None, "kicked"))
        await settle()
        assert runtime.agents.closed == ["long"]
    assert runtime.database.rows("SELECT state FROM rooms WHERE room_id = ?", room) == [
        ("unregistered",)
    ]
    assert runtime.database.rows("SELECT * FROM turns") == []


async def test_clear_cancels_the_current_call_and_its_output_is_dropped(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("long")
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "long"))
        await settle()
        runtime.homeserver.next_sync(runtime.message(room, "!clear"), runtime.message(room, "next"))
        await settle()
    assert runtime.agents.closed[0] == "long"
    assert [request.platform_chat_id for request in runtime.agents.requests] == ["1", "2"]


async def test_chats_shows_a_new_name_at_once(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    async with runtime.running():
        for body in ("!chats", "!rename Plans", "!chats"):
            runtime.homeserver.next_sync(runtime.message(room, body))
            await settle()
    before, after = (
        body for answers, body in runtime.homeserver.replies if answers in ("$1", "$3")
    )
    assert "Plans" not in before
    assert "Plans" in after


# -- greedy agents -----------------------------------------------------------------------------------


async def test_a_first_attempt_without_a_call_slot_ends_in_time_and_the_room_continues(
    runtime: RuntimeFixture,
):
    *rooms, last = runtime.with_chats(4)
    runtime.limits = Limits(calls=3)
    runtime.agents.silent.add("mute")
    async with runtime.running():
        runtime.homeserver.next_sync(*(runtime.message(room, "mute") for room in rooms))
        await settle()
        held = len(runtime.agents.requests)
        runtime.homeserver.next_sync(runtime.message(last, "hello"))
        await runtime.clock.advance(119)
        assert len(runtime.agents.requests) == held
        assert ("$4", CATALOG.no_text_yet("no_call")) in runtime.homeserver.replies
        await runtime.clock.advance(2)
        assert ("$4", CATALOG.agent_gave_up("no_call")) in runtime.homeserver.replies


async def test_a_turn_without_end_ends_in_time_and_leaves_no_timer(runtime: RuntimeFixture):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("mute")
    async with runtime.running() as bot:
        runtime.homeserver.next_sync(runtime.message(room, "mute"))
        await runtime.clock.advance(1799)
        assert runtime.homeserver.replies == [("$1", CATALOG.no_text_yet("working"))]
        await runtime.clock.advance(2)
        assert runtime.homeserver.replies[1:] == [("$1", CATALOG.agent_gave_up("too_slow"))]
        assert runtime.agents.closed == ["mute"]
        runtime.agents.answer = lambda _: (AgentEnd(1),)
        runtime.homeserver.next_sync(runtime.message(room, "hello"))
        await runtime.clock.advance(5)
        assert runtime.homeserver.replies[2:] == [("$2", CATALOG.empty_answer())]
        assert bot._dispatcher._timers._due_at == {}

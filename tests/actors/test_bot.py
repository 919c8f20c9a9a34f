"""The bot's life: nothing is handled before it agrees with the homeserver, nothing is lost when it ends."""

from collections.abc import Sequence

import anyio
import pytest
from structlog.testing import capture_logs

from actors import bot
from actors.agent_calls import Limits
from machines.errors import CredentialsRefused, LoggedOut, TokenUnknown
from machines.events.agent import AgentBroke, AgentEnded, AgentSaid
from machines.events.matrix import BotRemoved, BotReturned, SyncBatch
from machines.events.orders import NameRoom, SendMessage
from machines.ids import EventId, RoomId, SyncToken
from machines.room.topology import Topology
from tests.actors.fakes import House
from tests.idle_loop import settle
from tests.machines.support import CATALOG


async def test_a_life_runs_through_its_states_and_each_is_kept_and_logged(house: House):
    with capture_logs() as logs:
        async with house.living():
            pass
    path = ["login", "initial_sync", "reconcile", "live", "draining", "stopped"]
    assert [target for (target,) in house.bot_state()] == path
    changes = [line for line in logs if line["event"] == "bot_state_changed"]
    assert [line["to"] for line in changes] == path
    assert [line["from"] for line in changes][1:] == path[:-1]
    assert house.database.rows("SELECT state FROM bot") == [("stopped",)]


async def test_nothing_is_handled_before_reconciliation_is_complete(house: House):
    (room,) = house.with_chats()
    house.homeserver.first.append(SyncBatch(SyncToken("s0"), (house.message(room, "early"),)))
    with capture_logs() as logs:
        async with house.living():
            pass
    assert house.homeserver.replies == [("$1", "re: early")]
    events = [line["event"] for line in logs]
    assert events.count("matrix_reconcile_complete") == 1
    assert events.index("matrix_reconcile_complete") < events.index("bot_live")
    bound_at = house.database.rows(
        "SELECT min(seq) FROM transitions WHERE subject = ? AND target = 'bound'", room
    )
    live_at = house.database.rows(
        "SELECT seq FROM transitions WHERE subject = 'bot' AND target = 'live'"
    )
    assert bound_at < live_at
    assert not any(call.startswith("observe_room") for call in house.homeserver.calls)


async def test_while_reconciliation_hangs_no_message_is_taken(house: House, monkeypatch):
    (room,) = house.with_chats()
    house.homeserver.first.append(SyncBatch(SyncToken("s0"), (house.message(room, "early"),)))
    gate = anyio.Event()
    hanging = house.bot()
    reconcile = hanging._reconciler.reconcile_matrix_state

    async def hang(topology):
        await gate.wait()
        return await reconcile(topology)

    monkeypatch.setattr(hanging._reconciler, "reconcile_matrix_state", hang)
    async with anyio.create_task_group() as group:
        group.start_soon(hanging.run)
        await settle()
        assert house.agents.asked == []
        assert house.homeserver.performed == []
        assert [target for (target,) in house.bot_state()][-1] == "reconcile"
        gate.set()
        await settle()
        assert [request.text for request in house.agents.asked] == ["early"]
        hanging.stop()


async def test_a_second_start_of_an_unchanged_world_writes_nothing(house: House):
    house.with_chats(3)
    async with house.living():
        pass
    tables = ("rooms", "users", "outbox", "inbox", "turns", "preferences")
    before = [house.database.rows(f"SELECT * FROM {table}") for table in tables]
    kept = house.database.rows("SELECT * FROM transitions WHERE subject != 'bot'")
    house.homeserver.performed.clear()
    with capture_logs() as logs:
        async with house.living():
            pass
    assert [house.database.rows(f"SELECT * FROM {table}") for table in tables] == before
    assert house.database.rows("SELECT * FROM transitions WHERE subject != 'bot'") == kept
    assert house.homeserver.performed == []
    (report,) = [line for line in logs if line["event"] == "matrix_reconcile_complete"]
    assert (report["rooms_unchanged"], report["rooms_recovered"], report["backfilled"]) == (4, 0, 0)


async def test_a_lost_database_comes_back_with_the_same_values(house: House, tmp_path):
    house.with_chats(3)
    columns = "room_id, chat_id, platform_chat_id, matrix_user_id, space_id, agent_id, archived"
    async with house.living():
        pass
    before = house.database.rows(f"SELECT {columns} FROM rooms")
    again = House(tmp_path / "new.db")
    again.homeserver.rooms = house.homeserver.rooms
    async with again.living():
        pass
    assert again.database.rows(f"SELECT {columns} FROM rooms") == before
    again.database.raw.close()


async def test_damaged_rows_that_swapped_their_contexts_do_not_keep_it_from_going_live(house):
    first, second = house.with_chats(2)
    async with house.living():
        pass
    raw = house.database.raw
    for room_id, context in ((first, None), (second, "1"), (first, "2")):
        raw.execute("UPDATE rooms SET platform_chat_id = ? WHERE room_id = ?", (context, room_id))
    async with house.living():
        pass
    assert house.database.rows(
        "SELECT platform_chat_id FROM rooms WHERE chat_id IS NOT NULL ORDER BY room_id"
    ) == [("1",), ("2",)]
    assert house.bot_state()[-1] == ("stopped",)


async def test_a_batch_that_comes_twice_is_answered_once(house: House):
    (room,) = house.with_chats()
    message = house.message(room, "once")
    async with house.living():
        house.homeserver.arrives(message)
        house.homeserver.arrives(message)
    async with house.living():
        house.homeserver.arrives(message)
    assert house.homeserver.replies == [("$1", "re: once")]


async def test_a_stop_drains_what_is_committed_and_leaves_the_rest_in_its_rows(house: House):
    (room,) = house.with_chats()
    house.agents.mute.add("long")
    async with house.living():
        house.homeserver.arrives(house.message(room, "long"))
    assert house.agents.closed == ["long"]
    assert house.database.rows("SELECT state FROM turns") == [("asking",)]
    assert house.bot_state()[-1] == ("stopped",)

    house.agents.mute.clear()
    async with house.living():
        pass
    assert house.homeserver.replies == [("$1", "re: long")]
    assert {request.message_id for request in house.agents.asked} == {"$1"}


async def test_a_stop_does_not_wait_for_ever_for_the_homeserver(house: House, monkeypatch):
    assert bot.DRAIN_S < 10.0  # contract L8
    monkeypatch.setattr(bot, "DRAIN_S", 0.1)  # of real time
    (room,) = house.with_chats()
    house.homeserver.takes_s = 3600.0
    async with house.living():
        house.homeserver.arrives(house.message(room, "hello"))
    assert house.homeserver.performed == []
    reasons = house.database.rows("SELECT reason FROM transitions WHERE target = 'stopped'")
    assert reasons == [("not everything could be sent in time",)]
    assert len(house.database.rows("SELECT 1 FROM outbox WHERE status = 'waiting'")) == 1


async def test_orders_that_an_earlier_process_left_are_performed_at_start(house: House):
    (room,) = house.with_chats()
    house.homeserver.takes_s = 3600.0
    async with house.living(killed=True):
        house.homeserver.arrives(house.message(room, "hello"), house.message(room, "!rename x"))
    assert house.homeserver.performed == []
    house.homeserver.takes_s = 0.0
    async with house.living():
        pass
    assert ("$1", "re: hello") in house.homeserver.replies
    assert [type(order) for _, order in house.homeserver.performed].count(NameRoom) == 1
    assert house.database.rows("SELECT count(*) FROM outbox WHERE status = 'waiting'") == [(0,)]
    names = [txn_id for txn_id, _ in house.homeserver.performed]
    assert len(names) == len(set(names))


async def test_a_soft_logout_is_followed_by_a_login_and_no_second_reconciliation(house: House):
    (room,) = house.with_chats()
    with capture_logs() as logs:
        async with house.living():
            house.homeserver.fails(LoggedOut("soft"))
            house.homeserver.arrives(house.message(room, "still there?"))
    path = ["login", "initial_sync", "reconcile", "live", "login", "live", "draining", "stopped"]
    assert [target for (target,) in house.bot_state()] == path
    assert house.homeserver.replies == [("$1", "re: still there?")]
    assert sum(line["event"] == "matrix_reconcile_complete" for line in logs) == 1


@pytest.mark.parametrize("also_logged_out", [False, True])
async def test_a_token_that_is_not_accepted_is_replaced_by_a_full_sync(house, also_logged_out):
    (room,) = house.with_chats()
    async with house.living():
        if also_logged_out:
            house.homeserver.first.append(LoggedOut("soft"))
        house.homeserver.first.append(
            SyncBatch(SyncToken("fresh"), (house.message(room, "meanwhile"),))
        )
        house.homeserver.fails(TokenUnknown("never heard of it"))
    assert "sync fresh" in house.homeserver.calls
    assert house.homeserver.replies == [("$1", "re: meanwhile")]
    assert house.bot_state()[-1] == ("stopped",)


async def test_refused_credentials_end_it_and_are_its_last_transition(house: House):
    with pytest.raises(ExceptionGroup) as raised:
        async with house.living():
            house.homeserver.fails(CredentialsRefused("the token ended"))
    assert raised.group_contains(CredentialsRefused)
    assert house.bot_state()[-1] == ("failed",)


async def test_a_message_in_a_room_it_does_not_know_is_answered_after_one_look(house: House):
    (room,) = house.with_chats()
    unseen, house.homeserver.rooms = house.homeserver.rooms, []
    async with house.living():
        house.homeserver.rooms = unseen
        house.homeserver.arrives(house.message(room, "one"), house.message(room, "two"))
    assert house.homeserver.calls.count(f"observe_room {room}") == 1
    assert [body for _, body in house.homeserver.replies] == ["re: one", "re: two"]


async def test_a_room_that_is_nothing_gets_one_warning_and_one_notice(house: House):
    nowhere = RoomId("!nowhere")
    with capture_logs() as logs:
        async with house.living(killed=True):
            house.homeserver.arrives(house.message(nowhere, "one"))
            house.homeserver.arrives(house.message(nowhere, "two"))
            await settle()
            warnings = [line for line in logs if line["event"] == "room_recovery_failed"]
            assert len(warnings) == len(house.homeserver.said) == 1
    assert (warnings[0]["log_level"], warnings[0]["room_id"]) == ("warning", nowhere)
    assert house.homeserver.said[0] == CATALOG.room_recovery_failed()
    assert house.agents.asked == []


async def test_only_the_newest_look_says_what_a_room_is(house: House):
    (room,) = house.with_chats()
    unseen, house.homeserver.rooms = house.homeserver.rooms, []
    gone, back = BotRemoved(room, None, None, "put out"), BotReturned(room, EventId("$back"))
    look, look_ends = house.homeserver.observe_room, anyio.Event()

    async def slow_look(room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        topology = await look(room_id, spaces)
        await look_ends.wait()
        return topology

    house.homeserver.observe_room = slow_look  # type: ignore[method-assign]
    async with house.living():
        house.homeserver.arrives(house.message(room, "one"))
        await settle()
        house.homeserver.rooms = unseen
        house.homeserver.arrives(gone, back)
        await settle()
        look_ends.set()
    assert house.homeserver.calls.count(f"observe_room {room}") == 2
    assert house.homeserver.said == ["re: one"]


async def test_an_agent_that_breaks_off_is_asked_again_when_its_time_has_come(house: House):
    (room,) = house.with_chats()
    tries = iter([[AgentSaid("half"), AgentBroke("broken_off", "gone")], None])
    usual = house.agents.says

    def says(request):
        return next(tries) or usual(request)

    house.agents.says = says
    async with house.living():
        house.homeserver.arrives(house.message(room, "hello"))
        await house.clock.passes(5)
    assert [request.message_id for request in house.agents.asked] == ["$1", "$1"]
    last = [order for _, order in house.homeserver.performed if isinstance(order, SendMessage)][-1]
    assert (last.body, last.answers, last.partial) == ("re: hello", "$1", False)


async def test_the_bot_removed_hangs_up(house: House):
    (room,) = house.with_chats()
    house.agents.mute.add("long")
    async with house.living():
        house.homeserver.arrives(house.message(room, "long"))
        await settle()
        house.homeserver.arrives(BotRemoved(room, None, None, "kicked"))
        await settle()
        assert house.agents.closed == ["long"]
    assert house.database.rows("SELECT state FROM rooms WHERE room_id = ?", room) == [
        ("unregistered",)
    ]
    assert house.database.rows("SELECT * FROM turns") == []


async def test_clear_hangs_up_the_old_call_and_its_words_are_not_heard(house: House):
    (room,) = house.with_chats()
    house.agents.mute.add("long")
    async with house.living():
        house.homeserver.arrives(house.message(room, "long"))
        await settle()
        house.homeserver.arrives(house.message(room, "!clear"), house.message(room, "next"))
        await settle()
    assert house.agents.closed[0] == "long"
    assert [request.platform_chat_id for request in house.agents.asked] == ["1", "2"]


async def test_chats_shows_a_new_name_at_once(house: House):
    (room,) = house.with_chats()
    async with house.living():
        for body in ("!chats", "!rename Plans", "!chats"):
            house.homeserver.arrives(house.message(room, body))
            await settle()
    before, after = (body for answers, body in house.homeserver.replies if answers in ("$1", "$3"))
    assert "Plans" not in before
    assert "Plans" in after


# -- agents that take what they can get --------------------------------------------------------------


async def test_a_first_try_that_gets_no_call_ends_in_time_and_the_room_goes_on(house: House):
    *rooms, last = house.with_chats(4)
    house.limits = Limits(calls=3)
    house.agents.mute.add("mute")
    async with house.living():
        house.homeserver.arrives(*(house.message(room, "mute") for room in rooms))
        await settle()
        held = len(house.agents.asked)
        house.homeserver.arrives(house.message(last, "hello"))
        await house.clock.passes(119)
        assert len(house.agents.asked) == held
        assert house.homeserver.replies == []
        await house.clock.passes(2)
        assert ("$4", CATALOG.agent_gave_up("no_call")) in house.homeserver.replies


async def test_a_turn_without_end_ends_in_time_and_leaves_no_timer(house: House):
    (room,) = house.with_chats()
    house.agents.mute.add("mute")
    async with house.living() as bot:
        house.homeserver.arrives(house.message(room, "mute"))
        await house.clock.passes(1799)
        assert house.homeserver.replies == []
        await house.clock.passes(2)
        assert house.homeserver.replies == [("$1", CATALOG.agent_gave_up("too_slow"))]
        assert house.agents.closed == ["mute"]
        house.agents.says = lambda _: (AgentEnded(1),)
        house.homeserver.arrives(house.message(room, "hello"))
        await house.clock.passes(5)
        assert house.homeserver.replies[1:] == [("$2", CATALOG.empty_answer())]
        assert bot._dispatcher._timers._next == {}

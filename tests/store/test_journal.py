"""The journal: sync token and events in one commit, no event twice, a unit completely or not at all (D1, D3)."""

import sqlite3

import pytest
from msgspec.structs import replace

from machines.bot.machine import BotState
from machines.events.internal import OrderDone
from machines.events.matrix import (
    BotRemoved,
    EncryptionEnabled,
    Gap,
    InviteArrived,
    LastMessageShown,
    Quarantined,
    SyncBatch,
)
from machines.events.orders import Done, JoinRoom, NameRoom, Refused, StoreBinding
from machines.ids import ActorKey, DeviceId, EventId, RoomId, SyncToken, TxnId, UserId
from machines.room.binding import Binding
from machines.room.state import Room
from machines.user.preferences import Preferences
from store import Database, DatabaseUnusable, Journal
from store.database import prepare
from store.errors import UnitRefused
from store.records import FinishedOrder, TransitionRecord, UnitOfWork
from tests.store.values import ANNA, CHAT, KEY, ROOMS, TURN, USERS, message, order, save_events


async def count(database: Database, table: str) -> int:
    rows = await database.run(lambda raw: raw.execute(f"SELECT count(*) FROM {table}").fetchall())
    return int(rows[0][0])


async def waiting(journal: Journal, key: str = CHAT) -> list[str]:
    return [row.event.body for row in await journal.inbox_after(ActorKey(key), 0)]


def batch(token: str, *events, **more) -> SyncBatch:
    return SyncBatch(SyncToken(token), events, **more)


# -- batches -----------------------------------------------------------------------------------------


async def test_a_batch_is_saved_with_its_token_and_its_rows_are_read_in_order(journal):
    rows = await journal.save_sync_batch(batch("s1", message(1), message(2, "!b"), message(3)), 5.0)
    assert [(row.seq, row.actor, row.event.body) for row in rows] == [
        (1, "!chat", "text 1"),
        (2, "!b", "text 2"),
        (3, "!chat", "text 3"),
    ]
    assert (await journal.bot()).sync_token == "s1"
    assert await waiting(journal) == ["text 1", "text 3"]


@pytest.mark.parametrize("table", ["inbox", "quarantine"])
async def test_if_any_part_of_a_batch_can_not_be_saved_the_token_stays(database, journal, table):
    await journal.save_sync_batch(batch("s1", message(1)), 1.0)
    await database.run(
        lambda raw: raw.execute(
            f"CREATE TRIGGER fault BEFORE INSERT ON {table} WHEN NEW.event_id LIKE '%bad%'"
            " BEGIN SELECT RAISE(ABORT, 'injected'); END"
        )
    )
    bad = replace(message(2), event_id=EventId("$bad"))
    wrong = batch(
        "s2",
        message(3),
        *((bad,) if table == "inbox" else ()),
        quarantined=(Quarantined("timeline", None, EventId("$bad"), "broken"),),
    )
    with pytest.raises(UnitRefused, match="injected"):
        await journal.save_sync_batch(wrong, 2.0)
    assert (await journal.bot()).sync_token == "s1"
    assert await waiting(journal) == ["text 1"]
    assert await count(database, "quarantine") == 0


async def test_if_the_disk_is_full_the_token_stays(database, journal):
    await database.run(lambda raw: raw.execute("PRAGMA max_page_count = 1"))
    large = replace(message(1), body="x" * 10**6)
    with pytest.raises(DatabaseUnusable, match="full"):
        await journal.save_sync_batch(batch("s1", large), 1.0)
    assert (await journal.bot()).sync_token is None
    await database.run(lambda raw: raw.execute("PRAGMA max_page_count = 100000"))
    await journal.save_sync_batch(batch("s1", large), 1.0)
    assert (await journal.bot()).sync_token == "s1"


async def test_an_event_that_no_row_can_store_is_quarantined_and_blocks_nothing(database, journal):
    rows = await journal.save_sync_batch(
        batch("s1", message(1), replace(message(2), body="\ud800"), message(3)), 1.0
    )
    assert [row.event.body for row in rows] == ["text 1", "text 3"]
    assert (await journal.bot()).sync_token == "s1"
    assert await count(database, "quarantine") == 1


async def test_an_event_that_arrives_twice_is_stored_once(journal):
    first = await journal.save_sync_batch(batch("s1", message(1)), 1.0)
    again = await journal.save_sync_batch(batch("s1", message(1), message(2)), 2.0)
    history = await save_events(journal, [message(2), message(3)], 3.0)
    assert [[row.event.body for row in rows] for rows in (first, again, history)] == [
        ["text 1"],
        ["text 2"],
        ["text 3"],
    ]


async def test_a_finished_event_is_not_stored_again(journal):
    (row,) = await journal.save_sync_batch(batch("s1", message(1)), 1.0)
    await journal.save_units_of_work([UnitOfWork(acked=(row.seq,))], 2.0)
    assert await journal.save_sync_batch(batch("s1", message(1)), 3.0) == ()
    assert await waiting(journal) == []


async def test_events_without_an_event_id_are_all_stored(journal):
    enabled = EncryptionEnabled(CHAT, None)
    rows = await journal.save_sync_batch(batch("s1", enabled, enabled), 1.0)
    assert len(rows) == 2


# -- gaps --------------------------------------------------------------------------------------------


def gapped(token, *events, since="s1"):
    return SyncBatch(
        SyncToken(token), events, (Gap(CHAT, SyncToken(since), SyncToken("not used")),)
    )


async def test_a_gap_is_saved_with_the_token_and_newer_messages_are_left_to_the_history(journal):
    rows = await journal.save_sync_batch(gapped("s2", message(9), message(1, "!talk")), 1.0)
    assert [row.event.event_id for row in rows] == ["$1"]
    assert (await journal.bot()).sync_token == "s2"
    assert await journal.gaps() == (Gap(CHAT, SyncToken("s1"), SyncToken("s2")),)


async def test_an_open_gap_grows_at_its_end_until_its_history_is_read(journal):
    await journal.save_sync_batch(gapped("s2"), 1.0)
    assert await journal.save_sync_batch(batch("s3", message(3)), 2.0) == ()
    assert await journal.save_sync_batch(batch("s4", message(1, "!talk")), 2.0) != ()
    await journal.save_sync_batch(gapped("s5", since="s4"), 3.0)
    assert await journal.gaps() == (Gap(CHAT, SyncToken("s1"), SyncToken("s5")),)


async def test_the_part_added_to_a_gap_while_it_was_read_stays_open(journal):
    await journal.save_sync_batch(gapped("s2"), 1.0)
    (gap,) = await journal.gaps()
    await journal.save_sync_batch(batch("s3", message(3)), 2.0)
    rest = await journal.close_gap(gap)
    assert rest == Gap(CHAT, SyncToken("s2"), SyncToken("s3"), was_in=True)
    assert await journal.close_gap(rest) is None
    assert await journal.gaps() == ()
    assert len(await journal.save_sync_batch(batch("s4", message(4)), 4.0)) == 1


async def test_history_is_saved_only_while_its_gap_is_open(journal):
    gap = Gap(CHAT, SyncToken("s1"), SyncToken("s2"))
    assert await journal.save_history(gap, [message(1)], 1.0) == ()
    await journal.save_sync_batch(gapped("s2"), 1.0)
    assert len(await journal.save_history(gap, [message(1)], 1.0)) == 1
    assert await journal.save_history(gap, [message(1)], 1.0) == ()
    assert (await journal.bot()).sync_token == "s2"


async def test_history_of_a_closed_gap_is_not_saved_for_the_next_gap_of_that_room(journal):
    """A page may arrive after the bot was removed, returned, and got a new gap (contract D5)."""
    await journal.save_sync_batch(gapped("s2"), 1.0)
    (ended,) = await journal.gaps()
    removed = BotRemoved(CHAT, EventId("$out"), None, "kicked")
    await journal.save_sync_batch(batch("s3", removed), 2.0)
    await journal.save_sync_batch(gapped("s4", since="s3"), 3.0)
    assert await journal.save_history(ended, [message(1)], 4.0) == ()
    following = Gap(CHAT, SyncToken("s3"), SyncToken("s4"))
    assert await journal.close_gap(ended) == following
    assert len(await journal.save_history(following, [message(2)], 5.0)) == 1


async def test_a_gap_stores_whether_the_bot_was_in_the_room_before_it(journal):
    known = Gap(CHAT, SyncToken("s1"), SyncToken("not used"), was_in=True)
    await journal.save_sync_batch(SyncBatch(SyncToken("s2"), (), (known,)), 1.0)
    await journal.save_sync_batch(gapped("s3", since="s2"), 2.0)
    assert await journal.gaps() == (Gap(CHAT, SyncToken("s1"), SyncToken("s3"), was_in=True),)


async def test_a_gap_ends_when_the_bot_is_removed_from_the_room(journal):
    await journal.save_sync_batch(gapped("s2"), 1.0)
    removed = BotRemoved(CHAT, EventId("$out"), None, "kicked")
    rows = await journal.save_sync_batch(batch("s3", removed, message(3)), 2.0)
    assert [row.event.event_id for row in rows] == ["$out", "$3"]
    assert await journal.gaps() == ()


async def test_encryption_is_delivered_at_once_during_a_gap(journal):
    rows = await journal.save_sync_batch(gapped("s2", EncryptionEnabled(CHAT, EventId("$e"))), 1.0)
    assert [row.event.event_id for row in rows] == ["$e"]


# -- units of work -----------------------------------------------------------------------------------


async def test_a_unit_of_work_is_saved_completely(database, journal):
    (row, other) = await journal.save_sync_batch(batch("s1", message(1), message(2)), 1.0)
    writes = UnitOfWork(
        room=ROOMS[1],
        turn=TURN,
        acked=(row.seq,),
        dead_letters=((other.seq, "no key"),),
        deliveries=((ActorKey(ANNA), message(9)),),
        orders=(order("a"), order("b")),
        transitions=(TransitionRecord(CHAT, 2.0, "came", "a", "b", "why", {"x": [1]}),),
        platform_chat_seq=7,
        preferences=((ANNA, Preferences(soul="brief")),),
    )
    (result,) = await journal.save_units_of_work([writes], 2.0)
    assert (result.actor, result.event) == (ANNA, message(9))
    assert await waiting(journal) == []
    assert [row.txn_id for row in await journal.waiting_orders(0.0)] == ["a", "b"]
    assert (await journal.bot()).platform_chat_seq == 7
    assert await journal.preferences() == {ANNA: Preferences(soul="brief")}
    dead_letters = await database.run(
        lambda raw: [
            tuple(each)
            for each in raw.execute("SELECT status, reason, payload != '' FROM inbox WHERE seq < 3")
        ]
    )
    assert dead_letters == [("done", "", 0), ("set_aside", "no key", 1)]


async def test_a_round_is_committed_completely_or_not_at_all(database, journal):
    (row,) = await journal.save_sync_batch(batch("s1", message(1)), 1.0)
    twice = Binding("chat", ANNA, "C9", "7")
    with pytest.raises(UnitRefused, match="platform_chat_id"):
        await journal.save_units_of_work(
            [
                UnitOfWork(room=ROOMS[1], acked=(row.seq,), orders=(order("a"),)),
                UnitOfWork(room=Room(RoomId("!other"), "bound", binding=twice)),
            ],
            2.0,
        )
    assert await waiting(journal) == ["text 1"]
    assert await journal.waiting_orders(0.0) == ()
    assert (await journal.stored()).rooms == {}


async def test_a_confirmed_binding_removes_its_context_from_a_damaged_row(journal):
    await journal.save_units_of_work([UnitOfWork(room=ROOMS[1])], 1.0)
    right = Room(RoomId("!right"), "bound", binding=Binding("chat", ANNA, "C9", "7"))
    confirmed = TransitionRecord(
        "!right", 2.0, "topology_confirmed", "reconciling", "bound", "found"
    )
    await journal.save_units_of_work([UnitOfWork(room=right, transitions=(confirmed,))], 2.0)
    rooms = (await journal.stored()).rooms
    held = {room_id: room.binding.platform_chat_id for room_id, room in rooms.items()}
    assert held == {"!right": "7", CHAT: None}


async def test_the_same_order_is_stored_once(journal):
    await journal.save_units_of_work([UnitOfWork(orders=(order("a"),))], 1.0)
    await journal.save_units_of_work(
        [UnitOfWork(orders=(replace(order("a"), not_before=9.0),))], 2.0
    )
    (row,) = await journal.waiting_orders(0.0)
    assert row == order("a")


async def test_a_sequence_is_never_lowered(journal):
    for seq in (5, 3):
        await journal.save_units_of_work([UnitOfWork(platform_chat_seq=seq)], 1.0)
    assert (await journal.bot()).platform_chat_seq == 5


async def test_an_empty_unit_of_work_is_empty():
    assert UnitOfWork().empty
    assert not UnitOfWork(acked=(1,)).empty


# -- rooms in flight ---------------------------------------------------------------------------------


async def test_rooms_with_orders_or_events_in_flight_are_reported(database, journal):
    invite = InviteArrived(RoomId("!invited"), ANNA, False)
    removed = BotRemoved(RoomId("!left"), None, None, "kicked")
    await save_events(journal, [message(1, "!talk"), invite, removed], 1.0)
    waiting_orders = tuple(
        replace(order(f"t{index}", room), order=value)
        for index, (room, value) in enumerate(
            [
                ("!join", JoinRoom(RoomId("!join"))),
                ("!name", NameRoom(RoomId("!name"), "x")),
                ("!bind", StoreBinding(RoomId("!bind"), {})),
                ("!send", order("x").order),
            ]
        )
    )
    await journal.save_units_of_work([UnitOfWork(user=USERS[1], orders=waiting_orders)], 2.0)
    in_flight = (await journal.stored()).in_flight
    assert in_flight == {"!invited", "!left", "!join", "!name", "!bind", "!made"}

    for row in await journal.waiting_orders(0.0):
        await journal.finish_orders([FinishedOrder(row)], 3.0)
    assert (await journal.stored()).in_flight == {"!invited", "!left", "!made"}


# -- orders ------------------------------------------------------------------------------------------


async def test_a_sent_order_is_stored_with_its_event_id(database, journal):
    await journal.save_units_of_work([UnitOfWork(orders=(order("a"),))], 1.0)
    (row,) = await journal.waiting_orders(0.0)
    assert await journal.finish_orders([FinishedOrder(row, EventId("$sent"))], 2.0) == ()
    assert await journal.waiting_orders(0.0) == ()
    assert await journal.sent_event_id(TxnId("a")) == "$sent"
    assert await journal.sent_event_id(TxnId("never")) is None
    payload = await database.run(lambda raw: raw.execute("SELECT payload FROM outbox").fetchone())
    assert payload[0] == "", "what was said is not kept twice"


async def test_the_transaction_id_of_an_old_order_is_expired(journal):
    old = replace(order("old"), created_at=100.0)
    await journal.save_units_of_work(
        [UnitOfWork(orders=(old, replace(order("new"), created_at=200.0)))], 200.0
    )
    found = [(row.txn_id, row.txn_id_expired) for row in await journal.waiting_orders(150.0)]
    assert found == [("old", True), ("new", False)]


async def test_the_outcome_of_an_order_is_delivered_in_the_transaction_that_finishes_it(
    database, journal
):
    await journal.save_units_of_work([UnitOfWork(orders=(order("a"), order("b")))], 1.0)
    first, second = await journal.waiting_orders(0.0)
    done = OrderDone(TxnId("a"), Done())
    (result,) = await journal.finish_orders([FinishedOrder(first, report=done)], 2.0)
    assert (result.actor, result.event) == (KEY, done)

    await database.run(
        lambda raw: raw.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'injected'); END"
        )
    )
    refused = FinishedOrder(second, None, "no", OrderDone(TxnId("b"), Done()))
    with pytest.raises(UnitRefused):
        await journal.finish_orders([refused], 3.0)
    assert [row.txn_id for row in await journal.waiting_orders(0.0)] == ["b"]


async def test_a_refused_order_keeps_its_body_and_the_reason(database, journal):
    await journal.save_units_of_work([UnitOfWork(orders=(order("a"),))], 1.0)
    (row,) = await journal.waiting_orders(0.0)
    report = OrderDone(row.txn_id, Refused("forbidden", "M_FORBIDDEN", "no"))
    await journal.finish_orders([FinishedOrder(row, None, "M_FORBIDDEN: no", report)], 2.0)
    kept = await database.run(
        lambda raw: tuple(
            raw.execute("SELECT status, reason, payload != '' FROM outbox").fetchone()
        )
    )
    assert kept == ("refused", "M_FORBIDDEN: no", 1)


async def test_intermediate_edits_of_one_message_are_dropped_and_nothing_else(journal):
    def edit(txn_id: str, of: str, **changes):
        return order(txn_id, edits=TxnId(of), **changes)

    orders = (
        order("m"),
        edit("m.e1", "m", droppable=True),
        edit("m.e2", "m"),
        edit("n.e1", "n", droppable=True),
    )
    await journal.save_units_of_work([UnitOfWork(orders=orders)], 1.0)
    newest = edit("m.e3", "m", droppable=True)
    await journal.save_units_of_work(
        [UnitOfWork(dropped_edits=(TxnId("m"),), orders=(newest,))], 2.0
    )
    assert [row.txn_id for row in await journal.waiting_orders(0.0)] == [
        "m",
        "m.e2",
        "n.e1",
        "m.e3",
    ]


# -- other rows --------------------------------------------------------------------------------------


async def test_the_state_and_session_of_the_bot_are_saved(database, journal):
    transition = TransitionRecord("bot", 7.5, "reconciled", "reconcile", "live", "3 rooms")
    await journal.save_bot_state(BotState("live", 7.5, "3 rooms", was_live=True), transition)
    await journal.save_session(UserId("@lambda:example.org"), DeviceId("DEVICE"))
    bot = await journal.bot()
    assert (bot.bot_state.state, bot.bot_state.since, bot.bot_state.reason) == (
        "live",
        7.5,
        "3 rooms",
    )
    assert not bot.bot_state.was_live, "a new process has not been live"
    assert (bot.user_id, bot.device_id) == ("@lambda:example.org", "DEVICE")
    assert await count(database, "transitions") == 1


async def test_pruning_deletes_old_finished_rows_and_no_waiting_ones(database, journal):
    for at in (10.0, 30.0):
        number = int(at)
        await journal.save_sync_batch(
            batch(
                f"s{number}",
                message(number),
                message(number + 1),
                message(number + 2),
                quarantined=(Quarantined("timeline", None, EventId(f"$q{number}"), "broken"),),
            ),
            at,
        )
        rows = await journal.inbox_after(KEY, 0)
        done, aside = rows[-2].seq, rows[-1].seq
        gone = replace(order(f"gone{number}"), created_at=at)
        stays = replace(order(f"stays{number}"), created_at=at)
        transition = TransitionRecord(CHAT, at, "x", "a", "b", "")
        await journal.save_units_of_work(
            [
                UnitOfWork(
                    acked=(done,),
                    dead_letters=((aside, "no"),),
                    orders=(gone, stays),
                    transitions=(transition,),
                )
            ],
            at,
        )
        await journal.finish_orders([FinishedOrder(gone, EventId(f"$gone{number}"))], at)
    await journal.prune(20.0)
    tables = ("inbox", "outbox", "transitions", "quarantine")
    assert [await count(database, table) for table in tables] == [4, 3, 1, 1]
    assert await waiting(journal) == ["text 10", "text 30"]
    assert len(await journal.waiting_orders(0.0)) == 2


async def test_pruning_keeps_messages_that_a_turn_or_a_waiting_order_may_edit(database, journal):
    """After a clock jump of weeks every row is old (contract D16)."""
    sent = [order("in a turn"), order("edited", "!other"), order("over", "!other")]
    edit = order("edit", "!other", edits=TxnId("edited"))
    await journal.save_units_of_work([UnitOfWork(turn=TURN, orders=(*sent, edit))], 2.0)
    await journal.finish_orders([FinishedOrder(each, EventId("$e")) for each in sent], 2.0)
    await journal.prune(1e9)
    found = [await journal.sent_event_id(each.txn_id) for each in sent]
    assert found == ["$e", "$e", None]


def test_the_tables_are_strict(path):
    raw = prepare(sqlite3.connect(path, isolation_level=None))
    kinds = raw.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
    loose = [name for name, strict in kinds if not strict and not name.startswith("sqlite_")]
    raw.close()
    assert loose == []


async def test_a_reply_to_an_event_of_the_bot_is_addressed_to_the_bot(journal):
    """Contract O5: only the journal knows which events those are."""
    await journal.save_units_of_work([UnitOfWork(orders=(order("a"),))], 1.0)
    (row,) = await journal.waiting_orders(0.0)
    await journal.finish_orders([FinishedOrder(row, EventId("$own"), None, None)], 1.0)
    replies = (
        replace(message(1), replies_to=EventId("$own")),
        replace(message(2), replies_to=EventId("$anothers")),
        replace(message(3, "!elsewhere"), replies_to=EventId("$own")),
    )
    rows = await save_events(journal, replies, 2.0)
    assert [row.event.addressed for row in rows] == [True, False, False]


async def test_the_newest_message_of_a_room_is_kept_where_another_message_is_open(journal):
    """Contract D18: every other message of the bot itself costs no row."""

    async def kept(answers: str | None, *events) -> bool:
        shown = LastMessageShown(CHAT, EventId(answers) if answers else None)
        rows = await journal.save_sync_batch(batch("s2", *events, last_shown=(shown,)), 1.0)
        return any(isinstance(row.event, LastMessageShown) for row in rows)

    assert not await kept("$0")
    await journal.save_units_of_work([UnitOfWork(turn=TURN)], 1.0)
    assert not await kept(TURN.turn_id)
    assert await kept("$0")
    assert await kept(None)
    await journal.save_units_of_work([UnitOfWork(turn_ended=CHAT)], 1.0)
    assert not await kept("$0")
    assert not await kept("$0", message(1, "!b"))
    assert await kept("$0", message(2))
    assert await kept("$0")

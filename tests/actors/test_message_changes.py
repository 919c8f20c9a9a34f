"""Edits and deletions reach messages that are in memory, unread in the inbox, or being answered (contract D17)."""

import pytest

from actors.cell import MAX_WAITING, ActorCell
from actors.context import ContextProvider
from actors.inbox_queues import MAX_LOADED
from actors.outbox import LANE_FULL
from machines.access import Access
from machines.events.matrix import MessageDeleted, MessageEdited
from machines.events.orders import SendMessage
from machines.events.priority import Priority
from machines.i18n import catalog_for
from machines.ids import ActorKey, EventId, RoomId
from store.inbox import READ_AHEAD
from store.records import InboxRow, RoomRows
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.support import ANNA, BOT, FewAgents, chat_room
from tests.store.values import message

CATALOG = catalog_for("en", "Lambda")


def edit(target, body, room, number=0) -> MessageEdited:
    return MessageEdited(room, EventId(f"$e{target}{number}"), ANNA, EventId(target), body, 10**6)


def deletion(target, room) -> MessageDeleted:
    return MessageDeleted(room, EventId(f"$d{target}"), ANNA, EventId(target))


def replies(runtime: RuntimeFixture) -> dict[str, str]:
    """The last text of the reply to each message."""
    orders = [order for _, order in runtime.homeserver.performed if isinstance(order, SendMessage)]
    return {order.answers: order.body for order in orders if order.answers}


PLACES = [1, MAX_WAITING // 2, MAX_WAITING + 3, MAX_WAITING + READ_AHEAD + 5, MAX_LOADED + 100]


@pytest.mark.parametrize("killed", [False, True], ids=["", "with a kill before its turn"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_change_reaches_its_message_wherever_it_waits(
    runtime: RuntimeFixture, place, killed
):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("0")
    async with runtime.running(killed=killed):
        runtime.homeserver.next_sync(
            *(runtime.message(room, f"{n}") for n in range(MAX_LOADED + 120))
        )
        await settle()
        # The first message is `$1`.
        edited, deleted = f"${place + 1}", f"${place + 2}"
        runtime.homeserver.next_sync(edit(edited, "edited", room), deletion(deleted, room))
        await settle()
        if not killed:
            runtime.homeserver.next_sync(deletion("$1", room))
            await runtime.clock.advance(60)
    if killed:
        runtime.agents.silent.clear()
        async with runtime.running():
            await runtime.clock.advance(60)
    found = replies(runtime)
    assert found[edited] == "re: edited"
    assert deleted not in found
    assert found[f"${place + 3}"] == f"re: {place + 2}"
    assert len(found) == MAX_LOADED + 119
    assert runtime.database.rows("SELECT 1 FROM inbox WHERE status != 'done'") == []


async def test_a_deletion_while_it_is_answered_stops_it_and_the_next_is_answered(runtime):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("first")
    async with runtime.running():
        runtime.homeserver.next_sync(
            runtime.message(room, "first"), runtime.message(room, "second")
        )
        await settle()
        runtime.homeserver.next_sync(deletion("$1", room))
        await runtime.clock.advance(5)
    assert replies(runtime) == {"$1": CATALOG.stopped(), "$2": "re: second"}


async def test_a_deletion_while_the_bot_is_down_stops_the_answer(runtime):
    (room,) = runtime.with_chats()
    runtime.agents.silent.add("first")
    async with runtime.running(killed=True):
        runtime.homeserver.next_sync(runtime.message(room, "first"))
        await settle()
    async with runtime.running():
        runtime.homeserver.next_sync(deletion("$1", room))
        await runtime.clock.advance(5)
    assert replies(runtime) == {"$1": CATALOG.stopped()}
    assert runtime.database.rows("SELECT 1 FROM turns") == []


async def test_a_change_after_the_answer_changes_nothing(runtime):
    (room,) = runtime.with_chats()
    async with runtime.running():
        runtime.homeserver.next_sync(runtime.message(room, "first"))
        await runtime.clock.advance(5)
        runtime.homeserver.next_sync(edit("$1", "edited", room), deletion("$1", room))
        await runtime.clock.advance(5)
    assert replies(runtime) == {"$1": "re: first"}
    assert len(runtime.database.rows("SELECT 1 FROM inbox WHERE event_id LIKE '$%'")) == 1


def cell_of_chat(runtime: RuntimeFixture) -> tuple[ActorCell, ContextProvider]:
    """The cell of a bound chat, and the context of its steps."""
    (room,) = runtime.with_chats()
    context_provider = ContextProvider(
        clock=runtime.clock,
        catalog=CATALOG,
        access=Access(BOT),
        agents=lambda: FewAgents(),
        agent_retry_s=120.0,
        agent_max_turn_s=1800.0,
    )
    rows = RoomRows(chat_room(room_id=room), None, ())
    return ActorCell(ActorKey(room), rows), context_provider


def row(seq: int, event, priority: Priority = Priority.MESSAGE) -> InboxRow:
    return InboxRow(seq, ActorKey(event.room_id), event, priority)


def test_a_message_that_is_deleted_before_it_is_handled_begins_no_turn(runtime):
    cell, context_provider = cell_of_chat(runtime)
    room = RoomId(cell.key)
    cell.deliver([row(1, message(1, room)), row(2, deletion("$1", room), Priority.EVENT)])
    batch = cell.process_batch(context_provider)
    assert batch.handled == (2,)
    assert batch.volatile == ()


def test_a_change_reaches_a_row_that_was_read_before_the_change_was_committed(runtime):
    cell, context_provider = cell_of_chat(runtime)
    room = RoomId(cell.key)
    changes = [edit("$1", "edited", room), deletion("$2", room)]
    cell.deliver(row(9 + n, each, Priority.EVENT) for n, each in enumerate(changes))
    outdated = [row(n, message(n, room)) for n in (1, 2, 3)]
    cell.inbox.add_page(Priority.MESSAGE, outdated)
    cell.pending_orders = LANE_FULL
    assert cell.process_batch(context_provider).handled == (9, 10)
    rows = cell.inbox.queues[Priority.MESSAGE].rows
    assert [each.event.body for each in rows] == ["edited", "text 3"]

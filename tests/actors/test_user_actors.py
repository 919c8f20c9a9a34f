"""A user's actor and the rows of that user's rooms: it never answers from rows that a commit has changed."""

import anyio
import pytest

from actors.dispatcher import Dispatcher
from machines.events.internal import ChatRecovered, TopologyConfirmed
from machines.events.orders import CreateRoom, Order, SendMessage
from machines.ids import ActorKey, RoomId
from machines.room.binding import Binding
from machines.room.state import Room
from machines.user.machine import User
from store.records import UnitOfWork
from tests.actors.fakes import RuntimeFixture
from tests.idle_loop import settle
from tests.machines.room.topologies import bound
from tests.machines.support import ANNA
from tests.store.values import save_events

ENTRY = RoomId("!entry")


async def recovered_by(runtime: RuntimeFixture, body: str) -> list[str]:
    """Send `body` as the first message in a chat that the bot finds only by a repair."""
    (room,) = runtime.with_chats()
    found, runtime.homeserver.rooms = runtime.homeserver.rooms, []
    async with runtime.running():
        runtime.homeserver.rooms = found
        runtime.homeserver.next_sync(runtime.message(room, body))
        await runtime.clock.advance(1)
    return runtime.homeserver.sent_bodies


async def test_a_chat_that_a_repair_recovered_is_in_the_list_requested_there(
    runtime: RuntimeFixture,
):
    replies = await recovered_by(runtime, "!chats")
    assert "chat1" in replies[0]


async def test_a_list_that_waited_for_a_new_chat_shows_the_current_state_of_the_others(runtime):
    first, second = runtime.with_chats(2)
    usual, created = runtime.homeserver.perform, anyio.Event()

    async def perform(order, txn_id):
        if isinstance(order, CreateRoom):
            await created.wait()
        return await usual(order, txn_id)

    runtime.homeserver.perform = perform
    async with runtime.running():
        runtime.homeserver.next_sync(
            runtime.message(first, "!new"), runtime.message(first, "!chats")
        )
        await settle()
        runtime.homeserver.next_sync(runtime.message(second, "!rename Better"))
        await settle()
        created.set()
    (listed,) = (body for answered, body in runtime.homeserver.replies if answered == "$2")
    assert "Better" in listed
    assert "Chat 3" in listed


@pytest.mark.parametrize("body", ["good morning", "!chats"])
async def test_an_entry_room_points_to_a_chat_that_was_recovered_in_the_same_round(runtime, body):
    """All three actors are ready at once: the user's, the chat's, and that of the entry room."""
    sent: list[Order] = []
    dispatcher = Dispatcher(
        runtime.journal,
        runtime.bot()._context_provider,
        runtime.clock,
        lambda key, effect: None,
        lambda orders, dropped, actor: sent.extend(row.order for row in orders),
        lambda actor: 0,
        lambda actor: False,
    )
    await runtime.save_rooms(
        Room(ENTRY, "bound", binding=Binding("entry", ANNA), others=1),
        Room(RoomId("!chat1"), "reconciling"),
    )
    await runtime.journal.save_units_of_work(
        [UnitOfWork(user=User(ANNA, space_id=RoomId("!space")))], 1.0
    )
    recovered = await runtime.journal.deliver_event(
        ActorKey(ANNA), ChatRecovered(RoomId("!space"), 1), 1.0
    )
    delivered = await save_events(runtime.journal, [runtime.message(ENTRY, body)], 1.0)
    dispatcher.deliver((*recovered, *delivered))
    dispatcher.signal(ActorKey("!chat1"), TopologyConfirmed(bound(), "Chat 1", False, False))
    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.run)
        await settle()
        await dispatcher.stop()
    assert not [order for order in sent if isinstance(order, CreateRoom)]
    (answer,) = (order for order in sent if isinstance(order, SendMessage))
    assert "chat1" in answer.body

"""Which inbox rows overtake messages, also in a room that is not bound (contracts K9, D5)."""

import pytest
from msgspec.structs import replace

from machines.events.effects import CallAgent
from machines.events.internal import ChatListRequested, OrderDone, ReplyTarget, TopologyConfirmed
from machines.events.matrix import BotRemoved, EncryptedArrived, FileArrived, MessageArrived
from machines.events.orders import Done
from machines.events.priority import Priority, priority_of
from machines.ids import EventId, TxnId
from tests.machines.support import ANNA, BERT, CATALOG, CHAT_BINDING, ROOM, RoomScenario, chat_room

FOUND = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False)


def message(body: str) -> MessageArrived:
    return MessageArrived(ROOM, EventId("$1"), ANNA, body, 0)


@pytest.mark.parametrize(
    ("event", "priority"),
    [
        (message("hello"), Priority.MESSAGE),
        (message("!stop"), Priority.COMMAND),
        (message("!STOP "), Priority.COMMAND),
        (message(" !stop"), Priority.MESSAGE),
        (message("!help"), Priority.COMMAND),
        (message("!archive"), Priority.MESSAGE),
        (message("1"), Priority.MESSAGE),
        (FileArrived(ROOM, EventId("$1"), ANNA, "a.txt", 0), Priority.MESSAGE),
        (EncryptedArrived(ROOM, EventId("$1"), ANNA, {}, 0), Priority.MESSAGE),
        (ChatListRequested(ReplyTarget(ROOM)), Priority.MESSAGE),
        (BotRemoved(ROOM, None, None, "kicked"), Priority.EVENT),
        (OrderDone(TxnId("a"), Done(None)), Priority.EVENT),
    ],
    ids=str,
)
def test_commands_that_act_at_once_and_events_overtake_messages(event, priority):
    assert priority_of(event) == priority
    assert priority_of(event, ANNA) == priority


def test_messages_of_others_in_a_chat_do_not_wait_among_those_of_its_owner():
    for body in ("hello", "!stop", "!archive"):
        assert priority_of(message(body), BERT) == Priority.EVENT


def failed_room() -> RoomScenario:
    scenario = RoomScenario(chat_room(state="reconciling"))
    scenario.user_writes("one")
    scenario.user_writes("two")
    return scenario


def test_a_stop_written_while_the_room_was_repaired_ends_the_answer_before_it():
    scenario = failed_room()
    stop = scenario.user_writes("!stop")
    assert stop.effects == ()
    result = scenario.handle(FOUND)
    assert [ask.request.text for ask in result.of(CallAgent)] == ["one", "two"]
    assert (EventId("$1"), CATALOG.stopped()) in [
        (message.answers, message.body) for message in result.messages
    ]
    assert scenario.actor.turn is not None
    assert scenario.actor.turn.turn_id == "$2"
    assert sorted(result.acked) == [1, 2, 3]


def test_a_stop_written_while_the_room_was_repaired_ends_the_current_turn():
    scenario = RoomScenario()
    scenario.user_writes("zero")
    scenario.actor = replace(scenario.actor, room=replace(scenario.actor.room, state="reconciling"))
    scenario.user_writes("one")
    scenario.user_writes("!stop")
    result = scenario.handle(FOUND)
    assert scenario.actor.turn is not None
    assert scenario.actor.turn.turn_id == "$2"
    assert (EventId("$1"), CATALOG.stopped()) in [
        (message.answers, message.body) for message in result.messages
    ]


def test_a_command_that_waits_is_still_in_order_after_a_repair():
    scenario = failed_room()
    scenario.user_writes("!archive")
    result = scenario.handle(FOUND)
    assert result.acked == [1]
    assert scenario.actor.room.binding is not None
    assert not scenario.actor.room.binding.archived

"""A room that is not bound: one look at the homeserver, then an answer or a diagnosis (C7, C8, C10, O1, O4)."""

import pytest

from machines.events.effects import (
    Ack,
    CallAgent,
    Log,
    Reconcile,
    RecordTransition,
)
from machines.events.internal import (
    OnboardingRequested,
    Resumed,
    TopologyConfirmed,
    TopologyRefused,
)
from machines.events.matrix import BotRemoved, BotReturned, InviteArrived
from machines.events.orders import (
    Joined,
    JoinRoom,
    Refused,
    RejectInvite,
    StoreBinding,
)
from machines.ids import EventId
from machines.room.binding import Binding
from machines.room.machine import Room
from tests.machines.support import (
    ANNA,
    BERT,
    CATALOG,
    CHAT_BINDING,
    ENTRY,
    ROOM,
    STRANGER,
    RoomScenario,
)

NOTHING = TopologyRefused("nothing it could be", {"room_id": ROOM})
A_CHAT = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, True)


def unknown_room() -> RoomScenario:
    return RoomScenario(Room(ROOM))


def failed_room() -> RoomScenario:
    scenario = unknown_room()
    scenario.user_writes("first")
    scenario.handle(NOTHING)
    assert scenario.actor.room.state == "failed"
    return scenario


# -- C7 ---------------------------------------------------------------------------------------------


def test_the_first_message_in_an_unknown_room_has_it_looked_at_and_waits():
    scenario = unknown_room()
    result = scenario.user_writes("hello")
    assert result.of(Reconcile) == [Reconcile()]
    assert result.of(CallAgent) == []
    assert result.acked == []
    (record,) = result.of(RecordTransition)
    assert (record.event, record.source, record.target) == (
        "user_wrote",
        "unregistered",
        "reconciling",
    )


def test_more_messages_wait_without_another_look():
    scenario = unknown_room()
    scenario.user_writes("one")
    assert scenario.user_writes("two").effects == ()


def test_a_repaired_room_is_bound_kept_on_the_server_and_answers_that_same_message():
    scenario = unknown_room()
    scenario.user_writes("one")
    scenario.user_writes("two")
    result = scenario.handle(A_CHAT)

    assert scenario.actor.room.state == "bound"
    assert scenario.actor.room.binding == CHAT_BINDING
    assert result.orders[0] == StoreBinding(ROOM, CHAT_BINDING.content())
    assert result.only_call.request.text == "one"
    assert scenario.agent_done("1").only_call.request.text == "two"


def test_a_binding_that_the_server_has_already_is_not_written_again():
    scenario = unknown_room()
    scenario.user_writes("one")
    result = scenario.handle(TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False))
    assert result.orders == []


def test_a_room_that_is_nothing_gets_one_warning_and_one_notice():
    scenario = unknown_room()
    scenario.user_writes("one")
    scenario.user_writes("two")
    result = scenario.handle(NOTHING)

    (log,) = result.of(Log)
    assert (log.event, log.warning) == ("room_recovery_failed", True)
    assert log.fields == {"room_id": ROOM, "matrix_user_id": ANNA, "report": {"room_id": ROOM}}
    assert result.texts == [CATALOG.room_recovery_failed()]
    assert result.messages[0].answers is None, "those messages are still to be answered (D2)"
    assert result.messages[0].notice
    assert result.acked == []
    (record,) = result.of(RecordTransition)
    assert (record.source, record.target, record.report) == (
        "reconciling",
        "failed",
        {"room_id": ROOM},
    )


def test_a_room_that_is_refused_at_start_fails_silently_and_may_be_repaired_at_once():
    scenario = RoomScenario(Room(ROOM, "reconciling", binding=CHAT_BINDING))
    result = scenario.handle(TopologyRefused("nothing it could be", {}, at_start=True))
    assert [type(effect) for effect in result.effects] == [RecordTransition]
    room = scenario.actor.room
    assert (room.state, room.last_repair_at, room.failed_repairs, room.failure_reported) == (
        "failed",
        0.0,
        1,
        False,
    )


def test_the_owner_is_named_in_the_warning_where_he_is_known():
    scenario = RoomScenario(Room(ROOM, binding=CHAT_BINDING))
    scenario.user_writes("one")
    (log,) = scenario.handle(NOTHING).of(Log)
    assert log.fields["matrix_user_id"] == ANNA


# -- C8 ---------------------------------------------------------------------------------------------


def test_a_failed_room_cools_down_in_silence():
    scenario = failed_room()
    for _ in range(5):
        scenario.now += 11.9
        assert scenario.user_writes("anybody?").effects == ()
    assert scenario.actor.room.state == "failed"


def test_a_message_a_minute_later_starts_one_more_attempt():
    scenario = failed_room()
    scenario.now += 60.0
    assert scenario.user_writes("again").of(Reconcile) == [Reconcile()]
    assert scenario.actor.room.state == "reconciling"


def test_waiting_messages_start_the_next_attempt_when_the_minute_is_over():
    scenario = failed_room()
    assert scenario.actor.due_at() == scenario.now + 60.0
    assert scenario.time_passes(59.9).effects == ()
    assert scenario.time_passes(0.1).of(Reconcile) == [Reconcile()]


def test_a_failed_room_in_which_nobody_waits_is_left_alone():
    scenario = RoomScenario(Room(ROOM, "failed"))
    assert scenario.actor.due_at() is None
    assert scenario.time_passes(3600.0).effects == ()


def test_a_further_failure_has_its_notice_when_somebody_has_written_since():
    scenario = failed_room()
    scenario.user_writes("second")
    scenario.time_passes(60.0)
    result = scenario.handle(NOTHING)
    assert result.texts == [CATALOG.room_recovery_failed()]
    assert [log.event for log in result.of(Log)] == ["room_recovery_failed"]
    first, second = [
        send
        for send in scenario.effects
        if getattr(send, "txn_id", "").find("recovery") > 0  # the two notices
    ]
    assert first.txn_id != second.txn_id


def test_all_that_came_in_between_is_answered_in_order_when_a_later_repair_succeeds():
    scenario = failed_room()
    scenario.user_writes("second")
    scenario.time_passes(60.0)
    scenario.user_writes("third")
    reply_to = [scenario.handle(A_CHAT).only_call.request.text]
    reply_to += [scenario.agent_done("…").only_call.request.text for _ in range(2)]
    assert reply_to == ["first", "second", "third"]
    scenario.agent_done("…")
    assert sorted(each.seq for each in scenario.effects if isinstance(each, Ack)) == [1, 2, 3]


# -- C10 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["!help", "!new", "!rename x", "!archive", "!clear", "!nothing"])
def test_a_command_in_an_unbound_room_gets_the_same_repair_and_then_runs(body):
    scenario = unknown_room()
    result = scenario.user_writes(body)
    assert result.of(Reconcile) == [Reconcile()]
    assert result.orders == []
    after = scenario.handle(A_CHAT)
    assert after.acked == [1]
    assert [m.answers for m in after.messages] + [tell.actor for tell in after.tells] != []


def test_a_command_in_a_failed_room_waits_and_gets_the_notice_once_more():
    scenario = failed_room()
    result = scenario.user_writes("!help")
    assert result.texts == [CATALOG.room_recovery_failed()]
    assert result.messages[0].answers is None
    assert result.acked == []
    assert scenario.user_writes("!chats").effects == ()


# -- invitations ------------------------------------------------------------------------------------


def invite(sender=ANNA, *, encrypted=False) -> InviteArrived:
    return InviteArrived(ENTRY, sender, encrypted)


def entry_scenario() -> RoomScenario:
    return RoomScenario(Room(ENTRY))


def test_an_invitation_leads_to_a_join_a_look_and_a_welcome():
    scenario = entry_scenario()
    joined = scenario.handle(invite(), stored=True)
    assert joined.orders == [JoinRoom(ENTRY)]
    assert joined.acked == [1]
    assert scenario.join_done(Joined(ENTRY, False)).of(Reconcile) == [Reconcile()]

    result = scenario.handle(TopologyConfirmed(Binding("entry", ANNA), "", False, True))
    (tell,) = result.tells
    assert tell.actor == ANNA
    assert isinstance(tell.event, OnboardingRequested)
    assert tell.event.reply_to.event_id is None
    assert scenario.actor.room.state == "bound"


def test_each_allowed_user_who_invites_is_welcomed_himself():
    scenario = entry_scenario()
    for sender in (ANNA, BERT):
        scenario.handle(invite(sender), stored=True)
        scenario.join_done(Joined(ENTRY, False))
        if scenario.actor.room.state != "bound":
            scenario.handle(TopologyConfirmed(Binding("entry", ANNA), "", False, True))
    welcomed = [each.actor for each in scenario.effects if hasattr(each, "actor")]
    assert welcomed == [ANNA, BERT]


def test_an_invitation_of_a_stranger_is_turned_down_with_one_line():
    scenario = entry_scenario()
    result = scenario.handle(invite(STRANGER), stored=True)
    assert result.orders == [RejectInvite(ENTRY)]
    (log,) = result.of(Log)
    assert (log.event, log.fields["sender"]) == ("invite_rejected", STRANGER)
    assert scenario.actor.room.state == "unregistered"
    assert len(result.effects) == 3


def test_an_invitation_that_is_gone_leaves_the_room_unregistered():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    result = scenario.join_done(Refused("forbidden", "M_FORBIDDEN", "withdrawn"))
    assert scenario.actor.room.state == "unregistered"
    assert result.orders == []


def test_a_refusal_of_another_order_does_not_end_the_join():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    scenario.order_done(f"{ENTRY}.binding.1000000", Refused("forbidden", "M_FORBIDDEN", "no"))
    assert scenario.actor.room.state == "reconciling"
    assert scenario.join_done(Joined(ENTRY, False)).of(Reconcile) == [Reconcile()]


def test_who_invited_is_welcomed_though_an_older_removal_is_heard_of_while_the_bot_joins():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    scenario.handle(BotRemoved(ENTRY, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.join_done(Joined(ENTRY, False))
    result = scenario.handle(TopologyConfirmed(Binding("entry", ANNA), "", False, True))
    assert [each.actor for each in result.effects if hasattr(each, "actor")] == [ANNA]


def test_a_room_that_the_bot_was_put_out_of_and_came_back_to_is_looked_at_again():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    scenario.join_done(Joined(ENTRY, False))
    scenario.handle(BotRemoved(ENTRY, EventId("$out"), ANNA, "kicked"), stored=True)
    assert scenario.actor.room.state == "unregistered"
    result = scenario.handle(BotReturned(ENTRY, EventId("$in")), stored=True)
    assert result.of(Reconcile) == [Reconcile()]
    assert scenario.actor.room.state == "reconciling"


@pytest.mark.parametrize(("claimed", "found"), [(True, False), (False, True)])
def test_encryption_is_believed_from_the_invitation_and_from_the_room(claimed, found):
    scenario = entry_scenario()
    scenario.handle(invite(encrypted=claimed), stored=True)
    scenario.join_done(Joined(ENTRY, found))
    assert scenario.actor.room.encrypted


def test_a_message_that_came_before_the_end_of_a_restarted_repair_is_looked_at_anew():
    scenario = RoomScenario(Room(ROOM, "reconciling"))
    assert scenario.handle(Resumed()).effects == ()
    assert scenario.user_writes("hello").of(CallAgent) == []
    assert scenario.handle(A_CHAT).only_call.request.text == "hello"

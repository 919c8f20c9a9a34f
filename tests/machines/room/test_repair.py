"""A room that is not bound: one repair, then an answer or a failure (C7, C8, C10, O1, O4)."""

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
from machines.room.state import Room
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

REFUSED = TopologyRefused("no valid binding", {"room_id": ROOM})
CONFIRMED = TopologyConfirmed(CHAT_BINDING, "Chat 1", False, True)


def unknown_room() -> RoomScenario:
    return RoomScenario(Room(ROOM))


def failed_room() -> RoomScenario:
    scenario = unknown_room()
    scenario.user_writes("first")
    scenario.handle(REFUSED)
    assert scenario.actor.room.state == "failed"
    return scenario


# -- C7 ---------------------------------------------------------------------------------------------


def test_the_first_message_in_an_unknown_room_starts_a_repair_and_waits():
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


def test_further_messages_wait_without_another_repair():
    scenario = unknown_room()
    scenario.user_writes("one")
    assert scenario.user_writes("two").effects == ()


def test_a_successful_repair_binds_the_room_and_answers_the_message():
    scenario = unknown_room()
    scenario.user_writes("one")
    scenario.user_writes("two")
    result = scenario.handle(CONFIRMED)

    assert scenario.actor.room.state == "bound"
    assert scenario.actor.room.binding == CHAT_BINDING
    assert result.orders[0] == StoreBinding(ROOM, CHAT_BINDING.content())
    assert result.only_call.request.text == "one"
    assert scenario.agent_done("1").only_call.request.text == "two"


def test_a_binding_that_the_homeserver_has_is_not_written_again():
    scenario = unknown_room()
    scenario.user_writes("one")
    result = scenario.handle(TopologyConfirmed(CHAT_BINDING, "Chat 1", False, False))
    assert result.orders == []


def test_a_failed_repair_gives_one_warning_and_one_notice():
    scenario = unknown_room()
    scenario.user_writes("one")
    scenario.user_writes("two")
    result = scenario.handle(REFUSED)

    (log,) = result.of(Log)
    assert (log.event, log.warning) == ("room_recovery_failed", True)
    assert log.fields == {"room_id": ROOM, "matrix_user_id": ANNA, "report": {"room_id": ROOM}}
    assert result.texts == [CATALOG.room_recovery_failed()]
    assert result.messages[0].answers is None, (
        "the messages themselves still wait for their replies (D2)"
    )
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
    result = scenario.handle(TopologyRefused("no valid binding", {}, at_start=True))
    assert [type(effect) for effect in result.effects] == [RecordTransition]
    room = scenario.actor.room
    assert (room.state, room.last_repair_at, room.failed_repairs, room.failure_reported) == (
        "failed",
        0.0,
        1,
        False,
    )


def test_the_warning_names_the_owner_if_they_are_known():
    scenario = RoomScenario(Room(ROOM, binding=CHAT_BINDING))
    scenario.user_writes("one")
    (log,) = scenario.handle(REFUSED).of(Log)
    assert log.fields["matrix_user_id"] == ANNA


# -- C8 ---------------------------------------------------------------------------------------------


def test_messages_within_the_repair_interval_have_no_effect():
    scenario = failed_room()
    for _ in range(5):
        scenario.now += 11.9
        assert scenario.user_writes("anybody?").effects == ()
    assert scenario.actor.room.state == "failed"


def test_a_message_a_minute_later_starts_another_repair():
    scenario = failed_room()
    scenario.now += 60.0
    assert scenario.user_writes("again").of(Reconcile) == [Reconcile()]
    assert scenario.actor.room.state == "reconciling"


def test_waiting_messages_start_the_next_repair_after_a_minute():
    scenario = failed_room()
    assert scenario.actor.due_at() == scenario.now + 60.0
    assert scenario.time_passes(59.9).effects == ()
    assert scenario.time_passes(0.1).of(Reconcile) == [Reconcile()]


def test_a_failed_room_without_work_is_not_repaired():
    scenario = RoomScenario(Room(ROOM, "failed"))
    assert scenario.actor.due_at() is None
    assert scenario.time_passes(3600.0).effects == ()


def test_another_failure_sends_a_notice_if_a_message_arrived_before():
    scenario = failed_room()
    scenario.user_writes("second")
    scenario.time_passes(60.0)
    result = scenario.handle(REFUSED)
    assert result.texts == [CATALOG.room_recovery_failed()]
    assert [log.event for log in result.of(Log)] == ["room_recovery_failed"]
    first, second = [
        send
        for send in scenario.effects
        if getattr(send, "txn_id", "").find("recovery") > 0  # the two notices
    ]
    assert first.txn_id != second.txn_id


def test_waiting_messages_are_answered_in_order_after_a_later_repair():
    scenario = failed_room()
    scenario.user_writes("second")
    scenario.time_passes(60.0)
    scenario.user_writes("third")
    texts = [scenario.handle(CONFIRMED).only_call.request.text]
    texts += [scenario.agent_done("…").only_call.request.text for _ in range(2)]
    assert texts == ["first", "second", "third"]
    scenario.agent_done("…")
    assert sorted(each.seq for each in scenario.effects if isinstance(each, Ack)) == [1, 2, 3]


# -- C10 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["!help", "!new", "!rename x", "!archive", "!clear", "!nothing"])
def test_a_command_in_an_unbound_room_starts_a_repair_and_then_runs(body):
    scenario = unknown_room()
    result = scenario.user_writes(body)
    assert result.of(Reconcile) == [Reconcile()]
    assert result.orders == []
    after = scenario.handle(CONFIRMED)
    assert after.acked == [1]
    assert [m.answers for m in after.messages] + [tell.actor for tell in after.tells] != []


def test_a_command_in_a_failed_room_waits_and_sends_the_notice_again():
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


def test_an_invitation_leads_to_a_join_a_repair_and_a_welcome():
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


def test_each_allowed_inviter_is_welcomed():
    scenario = entry_scenario()
    for sender in (ANNA, BERT):
        scenario.handle(invite(sender), stored=True)
        scenario.join_done(Joined(ENTRY, False))
        if scenario.actor.room.state != "bound":
            scenario.handle(TopologyConfirmed(Binding("entry", ANNA), "", False, True))
    welcomed = [each.actor for each in scenario.effects if hasattr(each, "actor")]
    assert welcomed == [ANNA, BERT]


def test_an_invitation_of_a_stranger_is_rejected_with_one_log_line():
    scenario = entry_scenario()
    result = scenario.handle(invite(STRANGER), stored=True)
    assert result.orders == [RejectInvite(ENTRY, CATALOG.invite_refused())]
    (log,) = result.of(Log)
    assert (log.event, log.fields["sender"]) == ("invite_rejected", STRANGER)
    assert "MATRIX_ALLOWED_USERS" in log.fields["reason"]
    assert scenario.actor.room.state == "unregistered"
    assert len(result.effects) == 3


def test_an_accepted_invitation_is_logged_with_its_sender():
    (log,) = entry_scenario().handle(invite(), stored=True).of(Log)
    assert (log.event, log.warning) == ("invite_accepted", False)
    assert log.fields == {"room_id": ENTRY, "sender": ANNA}


def test_a_refused_join_leaves_the_room_unregistered():
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


def test_an_inviter_is_welcomed_despite_an_older_removal_during_the_join():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    scenario.handle(BotRemoved(ENTRY, EventId("$out"), ANNA, "kicked"), stored=True)
    scenario.join_done(Joined(ENTRY, False))
    result = scenario.handle(TopologyConfirmed(Binding("entry", ANNA), "", False, True))
    assert [each.actor for each in result.effects if hasattr(each, "actor")] == [ANNA]


def test_a_room_is_repaired_when_the_bot_returns_after_a_removal():
    scenario = entry_scenario()
    scenario.handle(invite(), stored=True)
    scenario.join_done(Joined(ENTRY, False))
    scenario.handle(BotRemoved(ENTRY, EventId("$out"), ANNA, "kicked"), stored=True)
    assert scenario.actor.room.state == "unregistered"
    result = scenario.handle(BotReturned(ENTRY, EventId("$in")), stored=True)
    assert result.of(Reconcile) == [Reconcile()]
    assert scenario.actor.room.state == "reconciling"


@pytest.mark.parametrize(("claimed", "found"), [(True, False), (False, True)])
def test_encryption_is_stored_from_the_invitation_and_from_the_join(claimed, found):
    scenario = entry_scenario()
    scenario.handle(invite(encrypted=claimed), stored=True)
    scenario.join_done(Joined(ENTRY, found))
    assert scenario.actor.room.encrypted


def test_a_message_after_a_restart_in_a_reconciling_room_is_answered_after_the_repair():
    scenario = RoomScenario(Room(ROOM, "reconciling"))
    assert scenario.handle(Resumed()).effects == ()
    assert scenario.user_writes("hello").of(CallAgent) == []
    assert scenario.handle(CONFIRMED).only_call.request.text == "hello"

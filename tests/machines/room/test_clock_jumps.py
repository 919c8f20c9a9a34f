"""After the clock was set back two hours, no wait is longer than before (contract D16)."""

import pytest
from msgspec.structs import replace

from machines.events.effects import CallAgent, Reconcile
from machines.events.internal import (
    Confirmation,
    Resumed,
    TimePassed,
    TopologyRefused,
)
from machines.events.matrix import MessageArrived
from machines.ids import EventId
from machines.room.actor import RoomActor
from machines.room.chat_context import QUESTION_LIFETIME_S
from machines.room.state import MIN_REPAIR_INTERVAL_S, Room
from machines.turn.reply import EDIT_INTERVAL_S, FIRST_TEXT_DELAY_S
from machines.turn.retry_policy import LONGEST_SPREAD_WAIT_S
from tests.machines.support import ANNA, ROOM, RoomScenario

TWO_HOURS_S = 7200.0
REFUSED = TopologyRefused("no valid binding", {})


def set_back(scenario: RoomScenario) -> None:
    """Set the clock back two hours, and let the room handle a timer."""
    scenario.now -= TWO_HOURS_S
    scenario.handle(TimePassed())


def test_a_failed_room_is_repaired_within_the_normal_interval():
    scenario = RoomScenario(Room(ROOM), now=10_000.0)
    scenario.user_writes("hello")
    scenario.handle(REFUSED)
    set_back(scenario)
    due_at = scenario.actor.due_at()
    assert due_at is not None
    assert due_at <= scenario.now + MIN_REPAIR_INTERVAL_S
    assert scenario.time_passes(MIN_REPAIR_INTERVAL_S).of(Reconcile) == [Reconcile()]


def test_a_message_in_a_room_that_failed_in_the_future_starts_a_repair():
    room = Room(ROOM, "failed", last_repair_at=1000.0 + TWO_HOURS_S, failed_repairs=7)
    scenario = RoomScenario(room)
    scenario.user_writes("hello")
    assert scenario.time_passes(MIN_REPAIR_INTERVAL_S).of(Reconcile) == [Reconcile()]


def test_a_message_received_in_the_future_counts_as_received_now():
    scenario = RoomScenario(Room(ROOM, "failed", last_repair_at=1000.0))
    message = MessageArrived(ROOM, EventId("$1"), ANNA, "hello", 0)
    scenario.handle(message, stored=True, received_at=1000.0 + TWO_HOURS_S)
    assert scenario.actor.waiting[0].since == scenario.now


def test_a_retry_that_was_due_later_starts_within_the_longest_wait():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.attempt_failed()
    set_back(scenario)
    assert len(scenario.time_passes(LONGEST_SPREAD_WAIT_S).of(CallAgent)) == 1


def test_a_turn_is_given_up_within_the_time_for_its_retries():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.attempt_failed()
    scenario.time_passes(2.0)
    assert scenario.actor.turn is not None
    assert scenario.actor.turn.attempt == 2
    set_back(scenario)
    scenario.time_passes(120.0)
    assert scenario.actor.turn is None


def test_a_streamed_answer_is_still_edited():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.agent_output("one")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    scenario.agent_output("one two")
    set_back(scenario)
    due_at = scenario.actor.due_at()
    assert due_at is not None
    assert due_at - scenario.now <= EDIT_INTERVAL_S + EDIT_INTERVAL_S * 1.25
    assert scenario.time_passes(due_at - scenario.now).texts == ["one two"]


def test_the_first_text_is_sent_at_once():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.agent_output("one")
    set_back(scenario)
    assert scenario.time_passes(FIRST_TEXT_DELAY_S).texts == ["one"]


def test_the_next_turn_waits_no_longer_than_the_edit_interval():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.user_writes("next")
    scenario.agent_output("one")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    assert scenario.agent_done("one two").of(CallAgent) == []
    set_back(scenario)
    assert len(scenario.time_passes(EDIT_INTERVAL_S).of(CallAgent)) == 1


def test_a_question_expires_after_a_day():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("delete it")
    scenario.agent_done("Sure?", Confirmation("q", "Delete", "really"))
    set_back(scenario)
    question = scenario.actor.room.chat_context.question
    assert question is not None
    assert question.expired(scenario.now + QUESTION_LIFETIME_S + 1)


def test_a_turn_that_began_in_the_future_began_now():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    set_back(scenario)
    assert scenario.actor.turn is not None
    assert scenario.actor.turn.begun_at == scenario.now


def test_a_room_that_is_being_created_is_repaired_after_an_hour():
    room = Room(ROOM, "reconciling", since=1000.0 + TWO_HOURS_S)
    scenario = RoomScenario(room)
    scenario.user_writes("hello")
    assert scenario.time_passes(3600.0).of(Reconcile) == [Reconcile()]


@pytest.mark.parametrize("state", ["unregistered", "reconciling", "bound", "failed"])
def test_a_correct_clock_changes_nothing(state):
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.agent_output("one")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    room = replace(
        scenario.actor.room, state=state, since=scenario.now, last_repair_at=scenario.now
    )
    before = replace(scenario.actor, room=room)
    scenario.actor = before
    scenario.handle(TimePassed())
    assert scenario.actor == before


def test_a_clock_that_jumps_ahead_loses_no_message():
    scenario = RoomScenario(now=10_000.0)
    scenario.user_writes("hello")
    scenario.agent_output("one")
    scenario.user_writes("next")
    scenario.actor = RoomActor(scenario.actor.room, scenario.actor.turn, scenario.actor.waiting)
    scenario.now += 30 * 86400.0
    assert scenario.handle(Resumed()).only_call.request.text == "hello"
    assert scenario.agent_done("done").only_call.request.text == "next"

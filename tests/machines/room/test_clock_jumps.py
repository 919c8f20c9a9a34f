"""A clock that was set back two hours makes no wait longer than it was to be (contract D16)."""

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
from machines.room.chat_context import QUESTION_KEPT_S
from machines.room.machine import COOL_DOWN_S, Room
from machines.turn.reply import EDIT_INTERVAL_S
from machines.turn.retry_policy import LONGEST_SPREAD_WAIT_S
from tests.machines.support import ANNA, ROOM, RoomStory

TWO_HOURS_S = 7200.0
NOTHING = TopologyRefused("nothing it could be", {})


def set_back(story: RoomStory) -> None:
    """The clock shows two hours less; the room is looked at, as after a start."""
    story.now -= TWO_HOURS_S
    story.handle(TimePassed())


def test_a_failed_room_is_looked_at_within_the_wait_that_was_due():
    story = RoomStory(Room(ROOM), now=10_000.0)
    story.hears("hello")
    story.handle(NOTHING)
    set_back(story)
    due_at = story.it.due_at()
    assert due_at is not None
    assert due_at <= story.now + COOL_DOWN_S
    assert story.later(COOL_DOWN_S).of(Reconcile) == [Reconcile()]


def test_a_message_in_a_room_that_failed_in_the_future_has_its_look():
    room = Room(ROOM, "failed", last_repair_at=1000.0 + TWO_HOURS_S, failed_repairs=7)
    story = RoomStory(room)
    story.hears("hello")
    assert story.later(COOL_DOWN_S).of(Reconcile) == [Reconcile()]


def test_a_message_received_in_the_future_counts_as_received_now():
    story = RoomStory(Room(ROOM, "failed", last_repair_at=1000.0))
    message = MessageArrived(ROOM, EventId("$1"), ANNA, "hello", 0)
    story.handle(message, stored=True, received_at=1000.0 + TWO_HOURS_S)
    assert story.it.waiting[0].since == story.now


def test_an_attempt_that_was_due_in_the_future_is_made_soon():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.fails()
    set_back(story)
    assert len(story.later(LONGEST_SPREAD_WAIT_S).of(CallAgent)) == 1


def test_a_turn_is_given_up_within_the_time_for_its_retries():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.fails()
    story.later(2.0)
    assert story.it.turn is not None
    assert story.it.turn.attempt == 2
    set_back(story)
    story.later(120.0)
    assert story.it.turn is None


def test_an_answer_that_grows_goes_on_showing():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.grows("one")
    story.later(0.3)
    story.grows("one two")
    set_back(story)
    due_at = story.it.due_at()
    assert due_at is not None
    assert due_at - story.now <= EDIT_INTERVAL_S + EDIT_INTERVAL_S * 1.25
    assert story.later(due_at - story.now).said == ["one two"]


def test_the_first_text_shows_at_once():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.grows("one")
    set_back(story)
    assert story.later(0.3).said == ["one"]


def test_the_next_turn_does_not_wait_for_an_hour_that_has_been():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.hears("next")
    story.grows("one")
    story.later(0.3)
    assert story.ends("one two").of(CallAgent) == []
    set_back(story)
    assert len(story.later(EDIT_INTERVAL_S).of(CallAgent)) == 1


def test_a_question_may_be_answered_no_longer_than_a_day():
    story = RoomStory(now=10_000.0)
    story.hears("delete it")
    story.ends("Sure?", Confirmation("q", "Delete", "really"))
    set_back(story)
    question = story.it.room.chat_context.question
    assert question is not None
    assert question.expired(story.now + QUESTION_KEPT_S + 1)


def test_a_turn_that_began_in_the_future_is_not_kept_longer():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    set_back(story)
    assert story.it.turn is not None
    assert story.it.turn.begun_at == story.now


def test_a_room_that_is_being_made_is_looked_at_in_time():
    room = Room(ROOM, "reconciling", since=1000.0 + TWO_HOURS_S)
    story = RoomStory(room)
    story.hears("hello")
    assert story.later(3600.0).of(Reconcile) == [Reconcile()]


@pytest.mark.parametrize("state", ["unregistered", "reconciling", "bound", "failed"])
def test_a_clock_that_is_right_changes_nothing(state):
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.grows("one")
    story.later(0.3)
    room = replace(story.it.room, state=state, since=story.now, last_repair_at=story.now)
    before = replace(story.it, room=room)
    story.it = before
    story.handle(TimePassed())
    assert story.it == before


def test_a_clock_that_jumps_ahead_loses_nothing():
    story = RoomStory(now=10_000.0)
    story.hears("hello")
    story.grows("one")
    story.hears("next")
    story.it = RoomActor(story.it.room, story.it.turn, story.it.waiting)
    story.now += 30 * 86400.0
    assert story.handle(Resumed()).only_ask.request.text == "hello"
    assert story.ends("done").only_ask.request.text == "next"

"""The limits of an answer in length and time, and of the wait for a call (contracts E13, D10, D16)."""

import pytest
from msgspec.structs import replace

from machines.events.effects import CallAgent, CancelCall
from machines.events.internal import AnswerTooLong, CallDelayed, CallStarted, Resumed
from machines.turn.answer_text import AnswerText
from machines.turn.reply import GATHER_S
from machines.turn.state import NO_ATTEMPT, Turn
from store.codec import dump, read
from tests.machines.support import CATALOG, RoomStory, StepResult

LIMITS = {"agent_retry_s": 120.0, "agent_max_turn_s": 600.0}
HOUR_S = 3600.0


def reply_to() -> RoomStory:
    story = RoomStory(world_options=LIMITS)
    story.hears("question")
    return story


def turn_of(story: RoomStory) -> Turn:
    assert story.it.turn is not None
    return story.it.turn


def call(story: RoomStory, kind: type) -> StepResult:
    turn = turn_of(story)
    return story.handle(kind(turn.turn_id, turn.attempt))


def restarts(story: RoomStory, *, clock_moves_s: float) -> None:
    """Restart the process, which loads the turn from its row."""
    row = read(Turn, dump(turn_of(story)))
    story.it = replace(story.it, turn=row, attempt=NO_ATTEMPT)
    story.now += clock_moves_s
    story.handle(Resumed())


def until_it_ends(story: RoomStory, every_s: float = 10.0) -> tuple[float, StepResult]:
    """Let the agent stream without end; return how long the turn took, and the step that ended it."""
    began = story.now
    while True:
        story.grows("on and on")
        due = story.it.due_at()
        assert due is not None
        result = story.later(min(max(due - story.now, 0.0), every_s))
        if story.it.turn is None:
            return story.now - began, result


# -- time --------------------------------------------------------------------------------------------


def test_an_endless_answer_ends_at_the_time_limit_with_its_text_so_far():
    story = reply_to()
    took_s, result = until_it_ends(story)
    assert took_s == 600.0
    assert result.said == [f"on and on\n\n{CATALOG.turn_too_long()}"]
    assert result.of(CancelCall)
    assert not result.of(CallAgent)
    assert not result.messages[0].partial


@pytest.mark.parametrize("state", ["asking", "waiting_to_retry", "waiting_for_call"])
def test_a_turn_without_any_text_ends_at_the_time_limit_too(state):
    story = RoomStory(world_options=LIMITS | {"agent_retry_s": 7200.0})
    story.hears("question")
    if state == "waiting_to_retry":
        story.now += 599.9
        story.fails()
    if state == "waiting_for_call":
        call(story, CallDelayed)
    assert turn_of(story).state == state
    assert story.it.due_at() == 1600.0
    result = story.later(1600.0 - story.now)
    assert result.said == [CATALOG.agent_gave_up("too_slow")]
    assert result.of(CancelCall)


def test_the_time_limit_of_a_turn_includes_its_retries():
    story = RoomStory(world_options=LIMITS | {"agent_retry_s": 7200.0})
    story.hears("question")
    while story.it.turn is not None and story.now < 3000:
        turn = turn_of(story)
        if turn.state == "waiting_to_retry":
            story.later(1.0)
        else:
            story.grows("half")
            story.fails()
    assert story.now == pytest.approx(1600.0, abs=1.0)


def test_the_time_limit_of_a_turn_includes_the_time_before_a_restart():
    story = reply_to()
    story.grows("on and")
    story.later(GATHER_S)
    restarts(story, clock_moves_s=400.0)
    took_s, result = until_it_ends(story)
    assert took_s == pytest.approx(600.0 - 400.0 - GATHER_S)
    assert result.said == [f"on and on\n\n{CATALOG.turn_too_long()}"]


def test_a_clock_set_back_before_two_restarts_does_not_lengthen_a_turn():
    story = reply_to()
    restarts(story, clock_moves_s=-2 * HOUR_S)
    story.now += 300.0
    restarts(story, clock_moves_s=0.0)
    took_s, _ = until_it_ends(story)
    assert took_s == pytest.approx(300.0)


def test_a_clock_set_back_once_lengthens_a_turn_at_most_by_its_limit():
    story = reply_to()
    restarts(story, clock_moves_s=-2 * HOUR_S)
    took_s, _ = until_it_ends(story)
    assert took_s == pytest.approx(600.0)


def test_a_turn_whose_time_ran_out_while_the_process_was_down_is_answered():
    story = reply_to()
    restarts(story, clock_moves_s=2 * HOUR_S)
    assert story.later(1.0).effects == ()
    assert story.ends("Here it is.").said == ["Here it is."]


def test_a_save_that_takes_too_long_is_reported_as_failed():
    story = RoomStory(world_options=LIMITS)
    story.hears("!save lunch")
    assert story.later(600.0).said == [CATALOG.save_failed("lunch")]


# -- length ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [True, False])
def test_an_answer_that_is_too_long_is_shown_up_to_the_limit_and_not_retried(shown):
    story = reply_to()
    if shown:
        story.grows("so far")
        story.later(GATHER_S)
    turn = turn_of(story)
    result = story.handle(AnswerTooLong(turn.turn_id, turn.attempt, AnswerText("so far and on")))
    assert result.said == [f"so far and on\n\n{CATALOG.answer_too_long()}"]
    assert not result.messages[0].partial
    assert not result.of(CallAgent)
    assert story.it.turn is None


def test_a_save_with_an_answer_that_is_too_long_has_failed():
    story = RoomStory(world_options=LIMITS)
    story.hears("!save lunch")
    turn = turn_of(story)
    result = story.handle(AnswerTooLong(turn.turn_id, turn.attempt, AnswerText("blah")))
    assert result.said == [CATALOG.save_failed("lunch")]


# -- waiting for a call ------------------------------------------------------------------------------


def test_a_first_attempt_without_a_call_ends_with_the_retries_and_is_not_reported_as_silent():
    story = reply_to()
    call(story, CallDelayed)
    assert story.it.due_at() == 1120.0
    assert story.later(119.9).effects == ()
    result = story.later(0.1)
    assert result.said == [CATALOG.agent_gave_up("no_call")]
    assert result.of(CancelCall)


def test_a_later_attempt_without_a_call_names_the_failure_before_it():
    story = reply_to()
    story.fails("unreachable")
    story.later(2.0)
    call(story, CallDelayed)
    assert story.later(118.0).said == [CATALOG.agent_gave_up("unreachable")]


def test_a_first_attempt_that_waited_for_its_call_has_its_full_time():
    story = reply_to()
    call(story, CallDelayed)
    story.now += 119.0
    call(story, CallStarted)
    assert story.later(20.0).effects == ()
    assert story.ends("Late, but here.").said == ["Late, but here."]


def test_a_later_attempt_whose_call_has_just_started_is_not_reported_as_silent():
    story = reply_to()
    story.fails("AGENT_BUSY")
    story.later(2.0)
    call(story, CallDelayed)
    story.now += 117.5
    call(story, CallStarted)
    assert story.later(0.5).said == [CATALOG.agent_gave_up("AGENT_BUSY")]


def test_a_turn_that_waits_for_a_call_can_be_stopped():
    story = reply_to()
    call(story, CallDelayed)
    result = story.hears("!stop")
    assert CATALOG.stopped_nothing() in result.said
    assert result.of(CancelCall)


def test_a_turn_that_waits_for_a_call_is_asked_again_after_a_restart():
    story = reply_to()
    call(story, CallDelayed)
    restarts(story, clock_moves_s=50.0)
    assert turn_of(story).state == "asking"
    assert story.ends("Yes.").said == ["Yes."]


@pytest.mark.parametrize("said_again", [True, False])
def test_the_ending_follows_a_code_block_that_was_not_finished(said_again):
    story = reply_to()
    code = "```py\n" + "code()\n" * 3_000
    story.grows(code)
    story.later(GATHER_S)
    if not said_again:
        restarts(story, clock_moves_s=1.0)
    result = story.hears("!stop")
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert reply.body.startswith("```py\ncode()\n")
    assert reply.body.endswith(f"\ncode()\n```\n\n{CATALOG.stopped()}")


@pytest.mark.parametrize("shown", [True, False])
def test_an_answer_of_maximum_length_can_be_stopped_at_once(shown):
    story = reply_to()
    text = "some words in a line\n" * (512 * 1024 // 21)
    story.grows(text)
    if shown:
        story.later(GATHER_S)
    result = story.hears("!stop")
    assert result.of(CancelCall)
    assert story.it.turn is None
    replies = [message for message in result.messages if message.answers == "$1"]
    assert any(message.body.endswith(CATALOG.stopped()) for message in replies)
    assert len(replies) == (1 if shown else 34)

"""The limits of an answer in length and time, and of the wait for a call (contracts E13, D10, D16)."""

import pytest
from msgspec.structs import replace

from machines.events.effects import CallAgent, CancelCall
from machines.events.internal import AnswerTooLong, CallDelayed, CallStarted, Resumed
from machines.turn.answer_text import AnswerText
from machines.turn.reply import FIRST_TEXT_DELAY_S
from machines.turn.state import NO_ATTEMPT, QUIET_AFTER_S, Turn
from store.codec import dump, read
from tests.machines.support import CATALOG, RoomScenario, StepResult

LIMITS = {"agent_retry_s": 120.0, "agent_max_turn_s": 600.0}
HOUR_S = 3600.0


def reply_to() -> RoomScenario:
    scenario = RoomScenario(context_options=LIMITS)
    scenario.user_writes("question")
    return scenario


def turn_of(scenario: RoomScenario) -> Turn:
    assert scenario.actor.turn is not None
    return scenario.actor.turn


def call(scenario: RoomScenario, kind: type) -> StepResult:
    turn = turn_of(scenario)
    return scenario.handle(kind(turn.turn_id, turn.attempt))


def restarts(scenario: RoomScenario, *, clock_moves_s: float) -> None:
    """Restart the process, which loads the turn from its row."""
    row = read(Turn, dump(turn_of(scenario)))
    scenario.actor = replace(scenario.actor, turn=row, attempt=NO_ATTEMPT)
    scenario.now += clock_moves_s
    scenario.handle(Resumed())


def until_it_ends(scenario: RoomScenario, every_s: float = 10.0) -> tuple[float, StepResult]:
    """Let the agent stream without end; return how long the turn took, and the step that ended it."""
    began = scenario.now
    while True:
        scenario.agent_output("on and on")
        due = scenario.actor.due_at()
        assert due is not None
        result = scenario.time_passes(min(max(due - scenario.now, 0.0), every_s))
        if scenario.actor.turn is None:
            return scenario.now - began, result


# -- time --------------------------------------------------------------------------------------------


def test_an_endless_answer_ends_at_the_time_limit_with_its_text_so_far():
    scenario = reply_to()
    took_s, result = until_it_ends(scenario)
    assert took_s == 600.0
    assert result.texts == [f"on and on\n\n{CATALOG.turn_too_long()}"]
    assert result.of(CancelCall)
    assert not result.of(CallAgent)
    assert not result.messages[0].partial


@pytest.mark.parametrize("state", ["asking", "waiting_to_retry", "waiting_for_call"])
def test_a_turn_without_any_text_ends_at_the_time_limit_too(state):
    scenario = RoomScenario(context_options=LIMITS | {"agent_retry_s": 7200.0})
    scenario.user_writes("question")
    if state == "waiting_to_retry":
        scenario.now += 599.9
        scenario.attempt_failed()
    if state == "waiting_for_call":
        call(scenario, CallDelayed)
    assert turn_of(scenario).state == state
    scenario.time_passes(QUIET_AFTER_S if scenario.now == 1000.0 else 0.0)
    assert scenario.actor.due_at() == 1600.0
    result = scenario.time_passes(1600.0 - scenario.now)
    assert result.texts == [CATALOG.agent_gave_up("too_slow")]
    assert result.of(CancelCall)


def test_the_time_limit_of_a_turn_includes_its_retries():
    scenario = RoomScenario(context_options=LIMITS | {"agent_retry_s": 7200.0})
    scenario.user_writes("question")
    while scenario.actor.turn is not None and scenario.now < 3000:
        turn = turn_of(scenario)
        if turn.state == "waiting_to_retry":
            scenario.time_passes(1.0)
        else:
            scenario.agent_output("half")
            scenario.attempt_failed()
    assert scenario.now == pytest.approx(1600.0, abs=1.0)


def test_the_time_limit_of_a_turn_includes_the_time_before_a_restart():
    scenario = reply_to()
    scenario.agent_output("on and")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    restarts(scenario, clock_moves_s=400.0)
    took_s, result = until_it_ends(scenario)
    assert took_s == pytest.approx(600.0 - 400.0 - FIRST_TEXT_DELAY_S)
    assert result.texts == [f"on and on\n\n{CATALOG.turn_too_long()}"]


def test_a_clock_set_back_before_two_restarts_does_not_lengthen_a_turn():
    scenario = reply_to()
    restarts(scenario, clock_moves_s=-2 * HOUR_S)
    scenario.now += 300.0
    restarts(scenario, clock_moves_s=0.0)
    took_s, _ = until_it_ends(scenario)
    assert took_s == pytest.approx(300.0)


def test_a_clock_set_back_once_lengthens_a_turn_at_most_by_its_limit():
    scenario = reply_to()
    restarts(scenario, clock_moves_s=-2 * HOUR_S)
    took_s, _ = until_it_ends(scenario)
    assert took_s == pytest.approx(600.0)


def test_a_turn_whose_time_ran_out_while_the_process_was_down_is_answered():
    scenario = reply_to()
    restarts(scenario, clock_moves_s=2 * HOUR_S)
    assert scenario.time_passes(1.0).effects == ()
    assert scenario.agent_done("Here it is.").texts == ["Here it is."]


def test_a_save_that_takes_too_long_is_reported_as_failed():
    scenario = RoomScenario(context_options=LIMITS)
    scenario.user_writes("!save lunch")
    assert scenario.time_passes(600.0).texts == [CATALOG.save_failed("lunch")]


# -- length ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [True, False])
def test_an_answer_that_is_too_long_is_shown_up_to_the_limit_and_not_retried(shown):
    scenario = reply_to()
    if shown:
        scenario.agent_output("so far")
        scenario.time_passes(FIRST_TEXT_DELAY_S)
    turn = turn_of(scenario)
    result = scenario.handle(AnswerTooLong(turn.turn_id, turn.attempt, AnswerText("so far and on")))
    assert result.texts == [f"so far and on\n\n{CATALOG.answer_too_long()}"]
    assert not result.messages[0].partial
    assert not result.of(CallAgent)
    assert scenario.actor.turn is None


def test_a_save_with_an_answer_that_is_too_long_has_failed():
    scenario = RoomScenario(context_options=LIMITS)
    scenario.user_writes("!save lunch")
    turn = turn_of(scenario)
    result = scenario.handle(AnswerTooLong(turn.turn_id, turn.attempt, AnswerText("blah")))
    assert result.texts == [CATALOG.save_failed("lunch")]


# -- waiting for a call ------------------------------------------------------------------------------


def test_a_first_attempt_without_a_call_ends_with_the_retries_and_is_not_reported_as_silent():
    scenario = reply_to()
    call(scenario, CallDelayed)
    scenario.time_passes(QUIET_AFTER_S)
    assert scenario.actor.due_at() == 1120.0
    assert scenario.time_passes(109.9).effects == ()
    result = scenario.time_passes(0.1)
    assert result.texts == [CATALOG.agent_gave_up("no_call")]
    assert result.of(CancelCall)


def test_a_later_attempt_without_a_call_names_the_failure_before_it():
    scenario = reply_to()
    scenario.attempt_failed("unreachable")
    scenario.time_passes(2.0)
    call(scenario, CallDelayed)
    assert scenario.time_passes(118.0).texts == [CATALOG.agent_gave_up("unreachable")]


def test_a_first_attempt_that_waited_for_its_call_has_its_full_time():
    scenario = reply_to()
    call(scenario, CallDelayed)
    scenario.now += 119.0
    call(scenario, CallStarted)
    assert not scenario.time_passes(20.0).of(CancelCall)
    assert scenario.agent_done("Late, but here.").texts == ["Late, but here."]


def test_a_later_attempt_whose_call_has_just_started_is_not_reported_as_silent():
    scenario = reply_to()
    scenario.attempt_failed("AGENT_BUSY")
    scenario.time_passes(2.0)
    call(scenario, CallDelayed)
    scenario.now += 117.5
    call(scenario, CallStarted)
    assert scenario.time_passes(0.5).texts == [CATALOG.agent_gave_up("AGENT_BUSY")]


def test_a_turn_that_waits_for_a_call_can_be_stopped():
    scenario = reply_to()
    call(scenario, CallDelayed)
    result = scenario.user_writes("!stop")
    assert CATALOG.stopped() in result.texts
    assert result.of(CancelCall)


def test_a_turn_that_waits_for_a_call_is_asked_again_after_a_restart():
    scenario = reply_to()
    call(scenario, CallDelayed)
    restarts(scenario, clock_moves_s=50.0)
    assert turn_of(scenario).state == "asking"
    assert scenario.agent_done("Yes.").texts == ["Yes."]


@pytest.mark.parametrize("said_again", [True, False])
def test_the_ending_follows_a_code_block_that_was_not_finished(said_again):
    scenario = reply_to()
    code = "```py\n" + "code()\n" * 3_000
    scenario.agent_output(code)
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    if not said_again:
        restarts(scenario, clock_moves_s=1.0)
    result = scenario.user_writes("!stop")
    (reply,) = [message for message in result.messages if message.answers == "$1"]
    assert reply.body.startswith("```py\ncode()\n")
    assert reply.body.endswith(f"\ncode()\n```\n\n{CATALOG.stopped()}")


@pytest.mark.parametrize("shown", [True, False])
def test_an_answer_of_maximum_length_can_be_stopped_at_once(shown):
    scenario = reply_to()
    text = "some words in a line\n" * (512 * 1024 // 21)
    scenario.agent_output(text)
    if shown:
        scenario.time_passes(FIRST_TEXT_DELAY_S)
    result = scenario.user_writes("!stop")
    assert result.of(CancelCall)
    assert scenario.actor.turn is None
    replies = [message for message in result.messages if message.answers == "$1"]
    assert any(message.body.endswith(CATALOG.stopped()) for message in replies)
    assert len(replies) == (1 if shown else 34)

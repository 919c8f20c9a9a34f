"""The end of a turn is logged once, with its fault and never with a text of the agent (contracts L12, E9)."""

import pytest

from machines.events.agent import AGENT_BUSY
from machines.events.effects import Log
from machines.events.internal import (
    AnswerTooLong,
    AttemptFailed,
    CallDelayed,
    RoomLost,
)
from machines.events.matrix import BotRemoved
from machines.events.orders import Refused
from machines.ids import EventId
from machines.room.step_draft import StepDraft
from machines.turn.answer_text import AnswerText
from machines.turn.driver import step_turn
from tests.machines.support import ROOM, RoomScenario, make_context

SECRET = "the agent quotes the message"


def asked(**options) -> RoomScenario:
    """A room in which a turn began at 1000 s."""
    scenario = RoomScenario(context_options=options)
    scenario.user_writes("hello")
    return scenario


def ends(scenario: RoomScenario) -> list[dict]:
    logs = [each for each in scenario.effects if isinstance(each, Log)]
    return [dict(log.fields) for log in logs if log.event == "turn_ended"]


def failed(scenario: RoomScenario, kind: str, *, retryable: bool) -> None:
    turn = scenario.actor.turn
    assert turn is not None
    scenario.handle(AttemptFailed(turn.turn_id, turn.attempt, kind, "a reason", retryable))


def test_an_answer_is_logged_with_its_room_message_agent_and_duration():
    scenario = asked()
    scenario.now += 2.5
    scenario.agent_done("hi")
    assert ends(scenario) == [
        {
            "room_id": ROOM,
            "turn": "$1",
            "agent": "default",
            "duration_s": 2.5,
            "outcome": "answered",
        }
    ]


def test_nothing_is_logged_before_the_end():
    scenario = asked()
    scenario.agent_output("hi")
    scenario.attempt_failed()
    assert ends(scenario) == []


@pytest.mark.parametrize("command", ["!stop", "!clear"])
def test_a_stopped_turn_has_no_fault(command):
    scenario = asked()
    scenario.user_writes(command)
    (end,) = ends(scenario)
    assert (end["outcome"], "fault" in end) == ("stopped", False)


def test_an_attempt_that_can_not_be_repeated_in_time_names_its_failure():
    scenario = asked(agent_retry_s=0.0)
    scenario.attempt_failed("unreachable")
    (end,) = ends(scenario)
    assert (end["outcome"], end["fault"]) == ("failed", "unreachable: a reason")


@pytest.mark.parametrize("code", ["MODEL_OVERLOADED", AGENT_BUSY, "silent", f"code {SECRET}"])
def test_an_error_of_the_agent_is_named_by_its_code_unless_that_may_be_a_text(code):
    scenario = asked(agent_retry_s=0.0)
    failed(scenario, code, retryable=code == AGENT_BUSY)
    (end,) = ends(scenario)
    assert end["fault"] == f"{'agent_error' if ' ' in code else code}: a reason"


def test_an_attempt_without_output_is_silent_whatever_failed_before_it():
    scenario = asked()
    scenario.attempt_failed("unreachable")
    scenario.time_passes(2.0)
    scenario.time_passes(500.0)
    (end,) = ends(scenario)
    assert end["fault"].startswith("silent: ")


def test_limits_name_their_variables():
    too_long, too_slow, no_call = asked(), asked(), asked()
    too_long.handle(AnswerTooLong(EventId("$1"), 1, AnswerText("x")))
    too_slow.agent_output("x")
    too_slow.time_passes(1e5)
    no_call.handle(CallDelayed(EventId("$1"), 1))
    no_call.time_passes(500.0)
    faults = [end["fault"] for each in (too_long, too_slow, no_call) for end in ends(each)]
    for fault, words in zip(
        faults,
        ("too_long: AGENT_MAX_ANSWER_KB", "too_slow: AGENT_MAX_TURN_S", "no_call: AGENT_RETRY_S"),
        strict=True,
    ):
        kind, _, variable = words.partition(": ")
        assert fault.startswith(f"{kind}: ")
        assert variable in fault


def test_a_turn_in_a_room_that_the_bot_left_is_dropped():
    scenario = asked()
    scenario.handle(BotRemoved(ROOM, None, None, "kicked"), stored=True)
    (end,) = ends(scenario)
    assert (end["outcome"], end["fault"].partition(":")[0]) == ("dropped", "removed")


def test_a_turn_whose_reply_is_refused_has_failed():
    scenario = asked()
    scenario.agent_output("hi")
    scenario.time_passes(1.0)
    scenario.order_done("$1.1", Refused("too_large", "M_TOO_LARGE", SECRET), EventId("$1"))
    (end,) = ends(scenario)
    assert (end["outcome"], SECRET in str(end)) == ("failed", False)
    assert "M_TOO_LARGE" in end["fault"]


def test_a_turn_in_a_room_that_is_lost_has_failed():
    scenario = asked()
    draft = StepDraft(scenario.actor, make_context(2000.0))
    step_turn(draft, RoomLost("not restored in time"))
    (log,) = [each for each in draft.effects if isinstance(each, Log)]
    assert log.fields["fault"] == "not_restored: not restored in time"


@pytest.mark.parametrize("options", [{"agents": ()}])
def test_a_stale_chat_begins_no_turn_and_ends_none(options):
    assert ends(asked(**options)) == []

"""A turn without a complete answer is recorded with its fault, in the words of this program (contract I6)."""

import pytest

from machines.events.effects import RecordFailedTurn
from machines.events.internal import AnswerTooLong
from machines.events.matrix import BotRemoved
from machines.events.orders import Refused
from machines.ids import EventId
from machines.turn.answer_text import AnswerText
from tests.machines.support import ANNA, RoomScenario


def asked() -> RoomScenario:
    scenario = RoomScenario()
    scenario.user_writes("a question")
    return scenario


def records(scenario: RoomScenario) -> list[tuple[str, str, str]]:
    """Return turn, agent and kind of the recorded turns; every reason is a sentence."""
    found = [each for each in scenario.effects if isinstance(each, RecordFailedTurn)]
    assert all(len(each.reason.split()) > 1 for each in found)
    return [(each.turn_id, each.agent_id, each.kind) for each in found]


def test_an_error_of_the_agent_is_recorded_with_its_code():
    scenario = asked()
    scenario.attempt_failed("NO_SUCH_TOOL", retryable=False)
    assert records(scenario) == [("$1", "default", "NO_SUCH_TOOL")]


@pytest.mark.parametrize("code", ["what the user wrote", "c" * 65, "код"])
def test_a_code_that_may_be_text_is_not_recorded(code):
    scenario = asked()
    scenario.attempt_failed(code, retryable=False)
    assert records(scenario) == [("$1", "default", "agent_error")]


def test_the_last_fault_is_recorded_when_the_retries_are_over():
    scenario = asked()
    for _ in range(1000):
        if scenario.actor.turn is None:
            break
        if scenario.actor.turn.state == "asking":
            scenario.attempt_failed("unreachable")
        scenario.time_passes(1)
    assert records(scenario) == [("$1", "default", "unreachable")]


def test_silence_until_the_retries_are_over_is_recorded():
    scenario = asked()
    scenario.attempt_failed("AGENT_BUSY")
    scenario.time_passes(10)
    scenario.time_passes(1000)
    assert records(scenario) == [("$1", "default", "silent")]


def test_an_answer_that_is_too_long_is_recorded():
    scenario = asked()
    scenario.handle(AnswerTooLong(EventId("$1"), 1, AnswerText("a" * 1000)))
    assert records(scenario) == [("$1", "default", "too_long")]


def test_a_turn_that_takes_too_long_is_recorded():
    scenario = asked()
    scenario.time_passes(100_000)
    assert records(scenario) == [("$1", "default", "too_slow")]


def test_a_turn_whose_reply_the_homeserver_refuses_is_recorded():
    scenario = asked()
    scenario.order_done("$1.1", Refused("too_large", "M_TOO_LARGE", ""), EventId("$1"))
    assert records(scenario) == [("$1", "default", "refused")]


def test_a_turn_in_a_room_that_the_bot_is_removed_from_is_recorded():
    scenario = asked()
    room_id = scenario.actor.room.room_id
    removed = BotRemoved(room_id, EventId("$out"), ANNA, "words of somebody")
    scenario.handle(removed, stored=True)
    assert records(scenario) == [("$1", "default", "removed")]
    assert "words" not in repr(
        [each for each in scenario.effects if isinstance(each, RecordFailedTurn)]
    )


def test_an_answer_and_a_stop_are_no_failed_turns():
    scenario = asked()
    scenario.attempt_failed()
    scenario.time_passes(10)
    scenario.agent_done("an answer")
    scenario.user_writes("another question")
    scenario.user_writes("!stop")
    assert scenario.actor.turn is None
    assert records(scenario) == []

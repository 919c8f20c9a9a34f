"""When a growing answer is sent and edited, and what of its last line is shown (contract D6)."""

from machines.events.effects import Enqueue
from machines.events.internal import Activity, AgentOutput
from machines.events.orders import SendMessage
from machines.turn.answer_text import AnswerText
from tests.machines.support import CATALOG, RoomScenario


def reply_to() -> RoomScenario:
    scenario = RoomScenario()
    scenario.user_writes("question")
    return scenario


def run(scenario: RoomScenario, seconds: float) -> None:
    """Let every timer of the room fire."""
    end = scenario.now + seconds
    while (due := scenario.actor.due_at()) is not None and due <= end:
        scenario.now = max(scenario.now, due)
        scenario.time_passes(0.0)
    scenario.now = end


def sent(scenario: RoomScenario) -> list[tuple[float, str]]:
    """Return the time and the text of each message."""
    return [
        (round(each.not_before - 1000.0, 2), each.order.body)
        for each in scenario.effects
        if isinstance(each, Enqueue) and isinstance(each.order, SendMessage)
    ]


def test_an_answer_that_is_whole_within_700_ms_of_its_first_chunk_has_no_edit():
    scenario = reply_to()
    run(scenario, 3.0)
    scenario.agent_output("It")
    run(scenario, 0.7)
    scenario.agent_done("It is.")
    assert sent(scenario) == [(3.7, "It is.")]


def test_an_answer_that_ends_right_after_its_first_text_is_edited_after_the_interval():
    scenario = reply_to()
    scenario.agent_output("It")
    run(scenario, 0.8)
    scenario.agent_done("It is.")
    (first_at, first), (last_at, last) = sent(scenario)
    assert (first, last) == ("It", "It is.")
    assert 0.7 < first_at < 1.0
    assert 1.5 <= last_at - first_at < 1.75


def test_what_is_held_back_is_in_the_next_edit_and_in_the_end():
    scenario = reply_to()
    scenario.agent_output("word:\n-")
    run(scenario, 1.0)
    scenario.agent_output("word:\n- item")
    run(scenario, 2.0)
    scenario.agent_output("word:\n- item\n-")
    run(scenario, 10.0)
    scenario.agent_done("word:\n- item\n-")
    assert [body for _, body in sent(scenario)] == [
        "word:",
        "word:\n- item",
        "word:\n- item\n-",
    ]


def test_what_is_held_back_is_in_a_stopped_answer():
    scenario = reply_to()
    scenario.agent_output("word\n-")
    run(scenario, 1.0)
    scenario.user_writes("!stop")
    assert f"word\n-\n\n{CATALOG.stopped()}" in [body for _, body in sent(scenario)]


def test_a_status_line_is_not_a_part_of_an_open_code_block():
    scenario = reply_to()
    turn = scenario.actor.turn
    assert turn is not None
    text = AnswerText("```py\ncode()\n")
    scenario.handle(AgentOutput(turn.turn_id, turn.attempt, text, Activity("tool", "search")))
    run(scenario, 1.0)
    assert [body for _, body in sent(scenario)] == [
        f"```py\ncode()\n```\n\n{CATALOG.tool_status('search')}"
    ]

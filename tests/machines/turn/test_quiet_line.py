"""A reply without text shows a quiet line after 10 s, which the answer replaces (contract D6)."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from machines.events.effects import Enqueue
from machines.events.internal import (
    Activity,
    AgentOutput,
    CallDelayed,
    CallStarted,
    Confirmation,
    Resumed,
)
from machines.events.matrix import BegunPart, MessageArrived
from machines.events.orders import SendMessage
from machines.ids import EventId
from machines.turn.answer_text import AnswerText
from machines.turn.reply import EDIT_INTERVAL_S, FIRST_TEXT_DELAY_S, QUIET_EDITS
from machines.turn.state import NO_ATTEMPT, QUIET_AFTER_S, RESTART_GRACE_S, Turn
from store.codec import dump, read
from tests.machines.support import ANNA, CATALOG, ROOM, RoomScenario

WORKING = CATALOG.no_text_yet("working")
UNREACHABLE = CATALOG.no_text_yet("unreachable")


def reply_to(body: str = "question", **options: float) -> RoomScenario:
    scenario = RoomScenario(context_options=options)
    scenario.user_writes(body)
    return scenario


def sends(scenario: RoomScenario) -> list[Enqueue]:
    return [
        each
        for each in scenario.effects
        if isinstance(each, Enqueue)
        and isinstance(each.order, SendMessage)
        and each.order.answers == "$1"
    ]


def shown(scenario: RoomScenario) -> list[str]:
    return [send.order.body for send in sends(scenario) if isinstance(send.order, SendMessage)]


def uses_tool(scenario: RoomScenario, name: str, text: str = "") -> None:
    turn = scenario.actor.turn
    assert turn is not None
    activity = Activity("tool", name)
    scenario.handle(AgentOutput(turn.turn_id, turn.attempt, AnswerText(text), activity))


def signal(scenario: RoomScenario, kind: type) -> None:
    turn = scenario.actor.turn
    assert turn is not None
    scenario.handle(kind(turn.turn_id, turn.attempt))


def restart(scenario: RoomScenario) -> None:
    row = read(Turn, dump(scenario.actor.turn))
    scenario.actor = replace(scenario.actor, turn=row, attempt=NO_ATTEMPT)
    scenario.handle(Resumed())


def run(scenario: RoomScenario, seconds: float) -> int:
    """Let every timer of the room fire; return how many did."""
    end, fired = scenario.now + seconds, 0
    while (due := scenario.actor.due_at()) is not None and due <= end:
        scenario.now = max(scenario.now, due)
        scenario.time_passes(0.0)
        fired += 1
        assert fired < 200, "a timer is due again and again"
    scenario.now = end
    return fired


# -- silence -----------------------------------------------------------------------------------------


def test_after_ten_silent_seconds_the_reply_begins_with_a_line_that_the_answer_replaces():
    scenario = reply_to()
    run(scenario, QUIET_AFTER_S - 0.01)
    assert sends(scenario) == []
    run(scenario, 0.01)
    (line,) = sends(scenario)
    assert (line.order.body, line.order.partial, line.order.edits) == (WORKING, True, None)
    run(scenario, 60)
    assert shown(scenario) == [WORKING], "it does not change while its reason is the same"
    scenario.agent_done("The answer.")
    _, answer = sends(scenario)
    assert (answer.order.body, answer.order.partial) == ("The answer.", False)
    assert answer.order.edits == line.txn_id


def test_the_first_text_after_the_line_shows_within_a_second_of_its_chunk():
    scenario = reply_to()
    run(scenario, QUIET_AFTER_S + 0.05)
    chunk_at = scenario.now
    scenario.agent_output("It")
    run(scenario, 1.0)
    line, text = sends(scenario)
    assert (text.order.body, text.order.edits) == ("It", line.txn_id)
    assert text.not_before <= chunk_at + FIRST_TEXT_DELAY_S
    scenario.agent_done("It is.")
    last = sends(scenario)[-1]
    assert last.not_before == text.not_before + EDIT_INTERVAL_S


def test_an_answer_right_after_the_line_is_not_delayed():
    scenario = reply_to()
    run(scenario, QUIET_AFTER_S)
    scenario.now += 0.1
    scenario.agent_output("It is.")
    scenario.agent_done("It is.")
    assert sends(scenario)[-1].not_before == scenario.now


def test_an_agent_that_falls_silent_after_its_first_text_needs_no_line():
    scenario = reply_to()
    scenario.agent_output("It is")
    run(scenario, 29)
    assert shown(scenario) == ["It is"]
    scenario.attempt_failed("silent")
    run(scenario, 29)
    assert shown(scenario) == ["It is"]


def test_text_that_is_held_back_is_no_text_yet():
    scenario = reply_to()
    scenario.agent_output("# ")
    run(scenario, QUIET_AFTER_S)
    assert shown(scenario) == [WORKING]
    scenario.agent_output("# Title")
    run(scenario, 1)
    assert shown(scenario) == [WORKING, "# Title"]


# -- reasons -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("unreachable", "unreachable"),
        ("AGENT_BUSY", "busy"),
        ("silent", "failed"),
        ("protocol", "failed"),
        ("broken_off", "failed"),
    ],
)
def test_the_line_says_why_the_agent_is_asked_again(kind, reason):
    scenario = reply_to()
    for _ in range(20):
        if scenario.actor.turn.state != "waiting_to_retry":
            scenario.attempt_failed(kind)
        run(scenario, 1)
    assert shown(scenario) == [CATALOG.no_text_yet(reason)]


def test_the_line_says_that_the_message_waits_for_a_free_call():
    scenario = reply_to()
    signal(scenario, CallDelayed)
    run(scenario, QUIET_AFTER_S)
    signal(scenario, CallStarted)
    run(scenario, 20)
    assert shown(scenario) == [CATALOG.no_text_yet("no_call"), WORKING]


def test_a_tool_shows_early_and_after_ten_seconds_with_the_line():
    scenario = reply_to()
    uses_tool(scenario, "search")
    run(scenario, 1)
    assert shown(scenario) == [CATALOG.tool_status("search")]
    run(scenario, QUIET_AFTER_S)
    assert shown(scenario)[1:] == [f"{WORKING}\n{CATALOG.tool_status('search')}"]
    uses_tool(scenario, "draw")
    run(scenario, 5)
    assert shown(scenario)[2:] == [f"{WORKING}\n{CATALOG.tool_status('draw')}"]
    scenario.agent_done("Here.")
    assert shown(scenario)[3:] == ["Here."]


def test_a_quick_tool_is_not_shown_and_the_answer_after_it_is_one_event():
    scenario = reply_to()
    uses_tool(scenario, "search")
    run(scenario, 0.6)
    scenario.agent_output("Found")
    run(scenario, 0.6)
    scenario.agent_done("Found it.")
    assert shown(scenario) == ["Found it."]


def test_the_line_leaves_most_edits_to_the_answer():
    scenario = reply_to()
    for number in range(100):
        uses_tool(scenario, f"tool{number}")
        run(scenario, 5)
    assert len(sends(scenario)) == 1 + QUIET_EDITS
    at = [send.not_before for send in sends(scenario)]
    assert all(b - a >= 1.5 for a, b in pairwise(at))


# -- one reply, with the right end -------------------------------------------------------------------


def test_a_failure_replaces_the_line():
    scenario = reply_to()
    while scenario.actor.turn is not None:
        if scenario.actor.turn.state == "asking":
            scenario.attempt_failed("unreachable")
        run(scenario, 0.5)
    first, last = sends(scenario)
    assert first.order.body == UNREACHABLE
    assert (last.order.body, last.order.edits) == (
        CATALOG.agent_gave_up("unreachable"),
        first.txn_id,
    )
    assert not last.order.partial


def test_stop_replaces_the_line():
    scenario = reply_to()
    run(scenario, 20)
    scenario.user_writes("!stop")
    assert shown(scenario) == [WORKING, CATALOG.stopped()]


def test_a_save_shows_the_line_in_its_notice():
    scenario = reply_to("!save lunch")
    run(scenario, 20)
    scenario.agent_done("Kept.")
    line, done = [send.order for send in sends(scenario)]
    assert (line.body, line.notice) == (WORKING, True)
    assert (done.body, done.notice) == (f"{CATALOG.save_done('lunch')}\n\nKept.", True)


def test_a_question_replaces_the_line_and_is_marked_as_shown():
    scenario = reply_to()
    run(scenario, 20)
    scenario.agent_done("", Confirmation("q", "Delete", "really?"))
    line, question = [send.order for send in sends(scenario)]
    assert line.shows_question is None
    assert question.shows_question == "$1"
    assert WORKING not in question.body


def test_after_a_restart_the_same_line_is_not_sent_again():
    scenario = reply_to()
    run(scenario, 20)
    restart(scenario)
    run(scenario, 20)
    scenario.user_writes("!stop")
    assert shown(scenario) == [WORKING, CATALOG.stopped()]
    assert len({send.order.edits or send.txn_id for send in sends(scenario)}) == 1


def test_soon_after_a_restart_a_quick_answer_is_one_event():
    scenario = reply_to()
    scenario.now += 3600
    restart(scenario)
    run(scenario, RESTART_GRACE_S - 0.1)
    assert shown(scenario) == []
    run(scenario, 0.1)
    assert shown(scenario) == [WORKING]


def test_a_reply_found_in_history_keeps_what_it_shows_until_there_is_text():
    scenario = RoomScenario()
    begun = (BegunPart(EventId("$part"), edits=1),)
    asked = MessageArrived(ROOM, EventId("$1"), ANNA, "question", 0, begun=begun)
    scenario.handle(asked, stored=True)
    run(scenario, 60)
    assert shown(scenario) == []
    scenario.agent_done("All of it.")
    (send,) = sends(scenario)
    assert (send.order.edits_event_id, send.order.body) == ("$part", "All of it.")


@pytest.mark.parametrize("moves_s", [-86_400.0, 600.0])
def test_a_clock_that_jumps_makes_no_timer_fire_again_and_again(moves_s):
    scenario = reply_to()
    uses_tool(scenario, "search")
    run(scenario, 5)
    scenario.now += moves_s
    scenario.time_passes(0.0)
    uses_tool(scenario, "draw")
    assert run(scenario, 60) < 10

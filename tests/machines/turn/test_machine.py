"""How an answer is shown: when and how often it is edited, how it ends, and how it is retried (D6, D10)."""

import json
from itertools import pairwise

import pytest
from msgspec.structs import replace

from machines.events.effects import CallAgent, CancelCall, DropEdits, Enqueue, ShowTyping
from machines.events.internal import Activity, AgentOutput, Resumed
from machines.events.matrix import BegunPart, MessageArrived
from machines.events.orders import RedactMessage, SendMessage
from machines.ids import EventId, TxnId
from machines.turn.answer_text import AnswerText
from machines.turn.reply import EDIT_INTERVAL_S, FIRST_TEXT_DELAY_S, INTERMEDIATE_EDITS
from machines.turn.retry_policy import FIRST_WAIT_S, LONGEST_WAIT_S, retry_at
from machines.turn.split import PART_BYTES, split
from machines.turn.state import NO_ATTEMPT, QUIET_AFTER_S, Turn
from store.codec import dump, read
from tests.machines.support import ANNA, CATALOG, ROOM, RoomScenario

CONTRACT_INTERVAL_S = 1.5
CONTRACT_EDITS = 20
LONG = "word " * 12_000
"""More than one event holds."""


def reply_to(body: str = "question") -> RoomScenario:
    scenario = RoomScenario()
    scenario.user_writes(body)
    return scenario


def sends(scenario: RoomScenario) -> list[Enqueue]:
    """Return every message of a reply, in the order of the outbox."""
    return [
        each
        for each in scenario.effects
        if isinstance(each, Enqueue) and isinstance(each.order, SendMessage) and each.order.answers
    ]


def flow(
    scenario: RoomScenario, seconds: float, *, step_s: float = 0.1, piece: str = "word "
) -> str:
    """The agent streams for a while, and every timer of the room fires."""
    text = ""
    for _ in range(round(seconds / step_s)):
        text += piece
        scenario.agent_output(text)
        end = scenario.now + step_s
        while (due := scenario.actor.due_at()) is not None and due <= end:
            scenario.now = max(scenario.now, due)
            scenario.time_passes(0.0)
        scenario.now = end
    return text


# -- pacing -----------------------------------------------------------------------------------------


def test_the_first_text_is_delayed_and_shown_within_a_second():
    scenario = reply_to()
    scenario.now += 5
    assert scenario.agent_output("Hel").effects == ()
    assert scenario.actor.due_at() == scenario.now + FIRST_TEXT_DELAY_S
    assert FIRST_TEXT_DELAY_S < 1.0
    scenario.agent_output("Hello")
    (first,) = scenario.time_passes(FIRST_TEXT_DELAY_S).messages
    assert (first.body, first.partial, first.part, first.edits) == ("Hello", True, 1, None)


def test_an_answer_with_nothing_to_show_yet_sets_no_timer():
    scenario = reply_to()
    silent_at = scenario.now + QUIET_AFTER_S
    for nothing in ("", " \n", "- "):
        scenario.agent_output(nothing)
        assert scenario.actor.due_at() == silent_at
        scenario.time_passes(3)
    scenario.agent_output(" \nwords")
    assert scenario.actor.due_at() == scenario.now + FIRST_TEXT_DELAY_S
    (first,) = scenario.time_passes(FIRST_TEXT_DELAY_S).messages
    assert first.body.strip() == "words"


def test_a_tool_that_is_done_before_it_was_shown_sets_no_timer():
    scenario = reply_to()
    silent_at = scenario.now + QUIET_AFTER_S
    turn = scenario.actor.turn
    scenario.handle(
        AgentOutput(turn.turn_id, turn.attempt, AnswerText(), Activity("tool", "search"))
    )
    assert scenario.actor.due_at() == scenario.now + FIRST_TEXT_DELAY_S
    scenario.agent_output("")
    assert scenario.actor.due_at() == silent_at


def test_the_status_line_shows_below_the_text_and_not_in_the_final_text():
    scenario = reply_to()
    turn = scenario.actor.turn
    said = AgentOutput(
        turn.turn_id, turn.attempt, AnswerText("So far."), Activity("tool", "search")
    )
    scenario.handle(said)
    assert scenario.time_passes(FIRST_TEXT_DELAY_S).texts == [
        f"So far.\n\n{CATALOG.tool_status('search')}"
    ]
    assert scenario.agent_done("So far, so good.").texts == ["So far, so good."]


def test_the_request_names_the_owner_of_the_chat():
    assert RoomScenario().user_writes("question").only_call.user_id == ANNA


def test_a_short_answer_is_one_event_and_no_edit():
    scenario = reply_to()
    scenario.agent_output("Hi")
    scenario.agent_done("Hi.")
    assert [(send.order.body, send.order.partial) for send in sends(scenario)] == [("Hi.", False)]


@pytest.mark.parametrize("minutes", [0.5, 3, 29.9])
def test_the_interval_and_the_number_of_edits_hold_for_answers_of_any_duration(minutes):
    scenario = reply_to()
    text = flow(scenario, minutes * 60, step_s=0.5)
    scenario.agent_done(text)

    events: dict[str, list[Enqueue]] = {}
    for send in sends(scenario):
        events.setdefault(send.order.edits or send.txn_id, []).append(send)
    assert events
    for first, *edits in events.values():
        at = [send.not_before for send in (first, *edits)]
        assert all(b - a >= CONTRACT_INTERVAL_S for a, b in pairwise(at)), at
        assert len(edits) <= INTERMEDIATE_EDITS + 1 <= CONTRACT_EDITS
        assert all(edit.order.droppable and edit.order.partial for edit in edits[:-1])
        assert (edits[-1].order.droppable, edits[-1].order.partial) == (False, False)
    last = [event[-1].order.body for event in events.values()]
    assert " ".join(last).split() == text.split()


def test_an_edit_is_named_after_its_number_so_that_a_repetition_is_recognised():
    scenario = reply_to()
    scenario.agent_done(flow(scenario, 20))
    names = [send.txn_id for send in sends(scenario)]
    assert len(set(names)) == len(names)
    assert names[:3] == ["$1.1", "$1.1.e1", "$1.1.e2"]


def test_the_interval_between_edits_grows():
    scenario = reply_to()
    flow(scenario, 60)
    at = [send.not_before for send in sends(scenario)]
    waits = [b - a for a, b in pairwise(at)]
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


def test_a_newer_edit_drops_the_older_ones_that_still_wait():
    scenario = reply_to()
    flow(scenario, 10)
    drops = [each for each in scenario.effects if isinstance(each, DropEdits)]
    assert {drop.edits for drop in drops} == {"$1.1"}
    before_last_edit = scenario.agent_done("The end.").effects
    kinds = [type(each) for each in before_last_edit]
    assert kinds.index(DropEdits) < kinds.index(Enqueue)


def test_the_last_edit_keeps_the_interval_and_the_next_turn_waits_for_it():
    scenario = reply_to("one")
    scenario.user_writes("two")
    scenario.agent_output("Hel")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    scenario.now += 0.1
    result = scenario.agent_done("Hello.")

    (last,) = result.of(Enqueue)
    assert last.not_before >= scenario.now - 0.1 + CONTRACT_INTERVAL_S
    assert result.of(CallAgent) == []
    assert scenario.actor.due_at() == scenario.now + EDIT_INTERVAL_S
    assert scenario.time_passes(EDIT_INTERVAL_S - 0.01).of(CallAgent) == []
    assert scenario.time_passes(0.01).only_call.request.text == "two"


def test_without_new_text_there_is_no_edit_and_the_timer_is_set_for_later():
    scenario = reply_to()
    scenario.agent_output("Hello")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    due = scenario.actor.due_at()
    assert due is not None
    assert scenario.time_passes(due - scenario.now).effects == ()
    again = scenario.actor.due_at()
    assert again is not None
    assert again > scenario.now


def test_a_timer_that_fires_too_early_does_nothing():
    scenario = reply_to()
    scenario.agent_output("Hello")
    assert scenario.time_passes(FIRST_TEXT_DELAY_S / 2).effects == ()


# -- long answers -----------------------------------------------------------------------------------


def test_a_long_answer_is_a_complete_series_of_parts():
    scenario = reply_to()
    scenario.agent_done(LONG)
    *parts, closing = [send.order for send in sends(scenario)]
    assert len(parts) > 1
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert " ".join(part.body for part in parts).split() == LONG.split()
    assert len({send.txn_id for send in sends(scenario)}) == len(parts) + 1
    assert not closing.partial


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "growing"])
def test_a_series_without_its_last_orders_is_marked_as_partial(ends):
    scenario = reply_to()
    if ends:
        scenario.agent_done(LONG)
    else:
        scenario.agent_output(LONG)
        scenario.time_passes(FIRST_TEXT_DELAY_S)
    shown: dict[TxnId, bool] = {}
    looks_finished = []
    for send in sends(scenario):
        shown[send.order.edits or send.txn_id] = send.order.partial
        looks_finished.append(not any(shown.values()))
    assert len(shown) > 1
    assert looks_finished == [False] * (len(looks_finished) - 1) + [ends]
    first, *_, closing = sends(scenario)
    assert closing.order.edits == first.txn_id
    assert closing.not_before - first.not_before >= CONTRACT_INTERVAL_S


def test_a_part_that_another_one_follows_is_complete_while_the_answer_grows():
    scenario = reply_to()
    scenario.agent_output("word " * 10)
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    scenario.agent_output(LONG)
    due = scenario.actor.due_at()
    assert due is not None
    result = scenario.time_passes(due - scenario.now)
    *complete, growing = sorted(result.messages, key=lambda message: message.part or 0)
    assert not any(message.partial or message.droppable for message in complete)
    assert growing.partial
    assert complete[0].edits == "$1.1"
    assert growing.edits is None
    assert result.messages[-1] is complete[0], "a reply without its end must be marked as partial"


def test_each_part_has_edits_of_its_own_and_not_too_many():
    scenario = reply_to()
    text = flow(scenario, 240, step_s=1.0, piece="word " * 150)
    scenario.agent_done(text)
    edits: dict[str, int] = {}
    for send in sends(scenario):
        if send.order.edits:
            edits[send.order.edits] = edits.get(send.order.edits, 0) + 1
    assert len(edits) > 1
    assert max(edits.values()) <= CONTRACT_EDITS


# -- attempts ----------------------------------------------------------------------------------------


def test_a_failed_attempt_is_repeated_later_under_the_same_message_id():
    scenario = reply_to()
    result = scenario.attempt_failed()
    assert result.of(CallAgent) == []
    assert result.of(ShowTyping) == [], "typing shows until the reply ends"
    assert result.messages == []

    due = scenario.actor.due_at()
    assert due is not None
    assert due > scenario.now
    again = scenario.time_passes(due - scenario.now).only_call
    assert (again.attempt, again.request.message_id) == (2, "$1")


def test_a_retry_with_the_same_text_sends_no_edit():
    scenario = reply_to()
    scenario.agent_output("Hello")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    scenario.attempt_failed()
    scenario.time_passes(10)
    scenario.agent_output("Hello")
    assert scenario.time_passes(10).effects == ()
    assert scenario.actor.turn is not None


def test_a_retry_with_more_text_edits_the_same_event():
    scenario = reply_to()
    scenario.agent_output("Hello")
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    scenario.attempt_failed()
    scenario.time_passes(10)
    (message,) = scenario.agent_done("Hello, world").messages
    assert message.edits == "$1.1"


def test_a_retry_that_needs_fewer_parts_redacts_the_others():
    scenario = reply_to()
    scenario.agent_output(LONG)
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    assert scenario.actor.turn is not None
    shown = [part.txn_id for part in scenario.actor.turn.reply.parts]
    assert len(shown) > 1
    scenario.attempt_failed()
    scenario.time_passes(10)
    result = scenario.agent_done("Short.")

    (edit,) = result.messages
    assert (edit.body, edit.edits, edit.partial) == ("Short.", shown[0], False)
    taken_back = [order for order in result.orders if isinstance(order, RedactMessage)]
    assert [order.redacts for order in taken_back] == shown[1:]


def test_an_event_is_edited_at_most_twenty_times_with_any_number_of_retries():
    scenario = RoomScenario(context_options={"agent_retry_s": 3600.0})
    scenario.user_writes("question")
    for attempt in range(30):
        flow(scenario, 30, piece=f"try {attempt} ")
        scenario.attempt_failed()
        scenario.time_passes(30)
    scenario.agent_done("At last.")
    edits = [send for send in sends(scenario) if send.order.edits]
    assert len(edits) <= CONTRACT_EDITS
    assert edits[-1].order.body == "At last."


def test_an_error_that_is_not_retryable_ends_the_turn_and_its_code_is_shown():
    scenario = reply_to()
    result = scenario.attempt_failed("BAD_INPUT", retryable=False)
    assert result.texts == [CATALOG.agent_error("BAD_INPUT")]
    assert "BAD_INPUT" in result.texts[0]
    assert scenario.actor.turn is None


def test_without_time_for_another_attempt_the_reply_ends_with_the_reason():
    scenario = reply_to()
    began, tries = scenario.now, 1
    while True:
        result = scenario.attempt_failed("unreachable")
        if result.messages:
            break
        while scenario.actor.turn.state == "waiting_to_retry":
            due = scenario.actor.due_at()
            assert due is not None
            scenario.time_passes(due - scenario.now)
        tries += 1
    assert result.texts == [CATALOG.agent_gave_up("unreachable")]
    assert (result.messages[0].answers, result.messages[0].partial) == (
        "$1",
        False,
    )
    assert scenario.now - began <= 120.0
    assert tries > 5
    assert scenario.actor.turn is None


def test_a_later_attempt_that_stays_silent_is_cancelled_when_the_time_for_retries_is_over():
    scenario = reply_to()
    gives_up_at = scenario.now + 120.0
    scenario.attempt_failed()
    scenario.time_passes(5)
    scenario.time_passes(5)
    assert scenario.actor.due_at() == gives_up_at
    result = scenario.time_passes(gives_up_at - scenario.now)
    assert result.of(CancelCall) == [CancelCall()]
    assert result.texts == [CATALOG.agent_gave_up("silent")]


def test_a_last_attempt_that_had_no_time_is_not_reported_as_silent():
    first_wait_s = retry_at("$1", 1, 0.0)
    scenario = RoomScenario(context_options={"agent_retry_s": first_wait_s + 0.1})
    scenario.user_writes("question")
    scenario.attempt_failed("AGENT_BUSY")
    scenario.time_passes(first_wait_s)
    result = scenario.time_passes(0.1)
    assert result.of(CancelCall)
    assert result.texts == [CATALOG.agent_gave_up("AGENT_BUSY")]


def test_with_no_time_for_retries_the_first_failure_is_the_last():
    scenario = RoomScenario(context_options={"agent_retry_s": 0.0})
    scenario.user_writes("question")
    assert scenario.attempt_failed("silent").texts == [CATALOG.agent_gave_up("silent")]


def test_the_next_turn_begins_when_the_one_before_has_failed():
    scenario = reply_to("one")
    scenario.user_writes("two")
    assert scenario.attempt_failed("NO", retryable=False).only_call.request.text == "two"


# -- retry policy ------------------------------------------------------------------------------------


def test_waits_double_up_to_a_limit_and_have_a_jitter_of_a_quarter():
    for tries in range(1, 60):
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (tries - 1))
        spread = [retry_at(f"${turn}", tries, 50.0) - 50.0 for turn in range(200)]
        assert 0.75 * wait <= min(spread) < 0.85 * wait
        assert 1.15 * wait < max(spread) <= 1.25 * wait


def test_a_wait_is_the_same_when_the_step_is_repeated():
    assert retry_at("$turn", 3, 50.0) == retry_at("$turn", 3, 50.0)
    assert retry_at("\ud800", 3, 50.0) > 50.0


# -- the database is lost ----------------------------------------------------------------------------


def test_a_reply_found_in_history_is_finished_with_new_transaction_ids():
    def finished_at(now: float) -> list[Enqueue]:
        scenario = RoomScenario(now=now)
        begun = (BegunPart(EventId("$part"), edits=1),)
        asked_before = MessageArrived(ROOM, EventId("$1"), ANNA, "question", 0, begun=begun)
        scenario.handle(asked_before, stored=True)
        scenario.agent_done("All of it.")
        return sends(scenario)

    # An edit was dropped that had a number too: how many there are does not tell which are used up.
    used = {TxnId(f"$1.1.e{number}") for number in range(1, CONTRACT_EDITS + 1)}
    (first,), (second,) = finished_at(1000.0), finished_at(2000.0)
    assert (first.order.edits_event_id, first.order.partial) == ("$part", False)
    assert len({first.txn_id, second.txn_id} | used) == len(used) + 2


# -- what is stored of a long answer -----------------------------------------------------------------


def restarted(scenario: RoomScenario) -> None:
    """Restart the process, which loads the turn from its row."""
    assert scenario.actor.turn is not None
    row = read(Turn, dump(scenario.actor.turn))
    scenario.actor = replace(scenario.actor, turn=row, attempt=NO_ATTEMPT)
    scenario.handle(Resumed())


def test_the_row_of_a_long_answer_holds_no_more_than_its_last_part():
    scenario = reply_to()
    flow(scenario, 60, piece="word " * 30)
    assert scenario.actor.turn is not None
    assert len(scenario.actor.turn.reply.parts) > 4
    assert len(dump(scenario.actor.turn)) < 2 * PART_BYTES


@pytest.mark.parametrize("end", ["gave up", "stopped"])
def test_a_long_answer_that_is_not_repeated_still_shows_all_its_text(end):
    scenario = reply_to()
    flow(scenario, 60, piece="word " * 30)
    shown = {send.order.edits or send.txn_id: send.order.body for send in sends(scenario)}
    restarted(scenario)
    before = len(sends(scenario))
    scenario.now += 130
    result = (
        scenario.attempt_failed("silent") if end == "gave up" else scenario.user_writes("!stop")
    )
    sentence = CATALOG.agent_gave_up("silent") if end == "gave up" else CATALOG.stopped()
    closing = sends(scenario)[before]
    *finished, last = shown
    assert closing.order.edits == last
    assert closing.order.body.split() == f"{shown[last]} {sentence}".split()
    assert not closing.order.partial
    assert result.of(RedactMessage) == []
    assert len(finished) > 4


def test_a_row_of_an_earlier_version_with_the_whole_answer_is_continued():
    scenario = reply_to()
    scenario.agent_output(LONG)
    scenario.time_passes(FIRST_TEXT_DELAY_S)
    turn = scenario.actor.turn
    assert turn is not None
    row = json.loads(dump(turn))
    del row["shown_behind"]
    row |= {"shown": LONG, "draft": ""}
    row = read(Turn, json.dumps(row))
    scenario.actor = replace(scenario.actor, turn=row, attempt=NO_ATTEMPT)
    scenario.handle(Resumed())
    result = scenario.user_writes("!stop")
    assert result.messages[0].body.endswith(CATALOG.stopped())
    assert len(result.messages[0].body) < PART_BYTES


def test_a_status_line_below_a_full_part_moves_no_cut():
    scenario = reply_to()
    turn = scenario.actor.turn
    assert turn is not None
    text = "word " * (PART_BYTES // 5)
    for more in ("", "word " * 100):
        grown = AgentOutput(
            turn.turn_id, turn.attempt, AnswerText(text + more), Activity("tool", "search")
        )
        scenario.handle(grown)
        scenario.time_passes(10)
    scenario.agent_done(text + "word " * 100)
    last = {send.order.edits or send.txn_id: send.order.body for send in sends(scenario)}
    assert tuple(last.values()) == split(text + "word " * 100)


def test_a_part_that_had_no_edit_left_while_the_answer_grew_gets_its_text_at_the_end():
    scenario = RoomScenario(
        context_options={"agent_retry_s": 36_000.0, "agent_max_turn_s": 86_400.0}
    )
    scenario.user_writes("question")
    for attempt in range(25):
        text = f"try {attempt} {LONG}"
        scenario.agent_output(text)
        scenario.time_passes(FIRST_TEXT_DELAY_S)
        scenario.time_passes(60)
        if attempt < 24:
            scenario.attempt_failed()
            scenario.time_passes(60)
    scenario.agent_done(text)
    last: dict[TxnId, str] = {}
    edits: dict[TxnId, int] = {}
    for send in sends(scenario):
        part = send.order.edits or send.txn_id
        last[part] = send.order.body
        edits[part] = edits.get(part, -1) + 1
    assert tuple(last.values()) == split(text)
    assert max(edits.values()) == CONTRACT_EDITS

"""The check of the soak test finds the faults of a history, and none in a correct one."""

import pytest

from sandbox.room_event import ANSWERS, RoomEvent
from tests.soak.history_check import PART, PARTIAL, CheckResult, check_room, recovery_times
from tests.soak.traffic import LONG, answer_to

ANN, BOT = "@ann:localhost", "@bot:localhost"


def asked(event_id, text):
    return event(event_id, ANN, {"msgtype": "m.text", "body": text})


def reply(event_id, answers, body, **more):
    return event(event_id, BOT, {"msgtype": "m.text", "body": body, ANSWERS: answers} | more)


def edit(event_id, target, answers, body, **more):
    new = {"msgtype": "m.text", "body": body, ANSWERS: answers} | more
    relation = {"rel_type": "m.replace", "event_id": target}
    content = new | {"body": f"* {body}", "m.new_content": new, "m.relates_to": relation}
    return event(event_id, BOT, content)


def event(event_id, sender, content):
    return RoomEvent("!room", "m.room.message", content, event_id, sender)


def result(*events):
    return check_room(events, ANN, BOT)


QUESTIONS = (asked("$1", "one"), asked("$2", "two"))
FIRST = reply("$r1", "$1", answer_to("one"))
SECOND = reply("$r2", "$2", answer_to("two"))


def test_a_correct_history_has_no_faults():
    well = result(*QUESTIONS, FIRST, SECOND)
    assert well == CheckResult(messages=2, replies=2)
    assert well.holds


def test_a_reply_may_grow_by_edits_and_come_in_parts():
    text = answer_to(f"tell me {LONG}")
    half = text.index("\n\n", len(text) // 2)
    assert result(
        asked("$1", f"tell me {LONG}"),
        reply("$r1", "$1", "1.", **{PART: 1, PARTIAL: True}),
        edit("$e1", "$r1", "$1", text[:half], **{PART: 1}),
        reply("$r2", "$1", text[half:], **{PART: 2}),
    ).holds


@pytest.mark.parametrize(
    "events",
    [
        QUESTIONS[:1],
        (*QUESTIONS, SECOND),
        (*QUESTIONS[:1], reply("$r1", "$1", "You said")),
        (*QUESTIONS[:1], reply("$r1", "$1", answer_to("one"), **{PARTIAL: True})),
        (*QUESTIONS[:1], FIRST, edit("$e1", "$r1", "$1", answer_to("two"))),
        (*QUESTIONS[:1], event("$r1", ANN, FIRST.content)),
        (asked("$1", "!help"),),
    ],
    ids=["no reply", "one of two", "cut", "unfinished", "wrong text", "not the bot's", "command"],
)
def test_a_message_without_its_whole_reply_is_lost(events):
    found = result(*events)
    assert found.lost
    assert not found.holds


@pytest.mark.parametrize(
    "more",
    [
        reply("$r9", "$1", answer_to("one")),
        reply("$r9", "$1", answer_to("one"), **{PART: 3}),
        reply("$r9", "$nothing", "You said"),
        event("$r9", BOT, {"msgtype": "m.text", "body": "unasked"}),
    ],
    ids=["same again", "odd part", "of nothing", "without a key"],
)
def test_a_second_reply_is_a_duplicate(more):
    found = result(*QUESTIONS, FIRST, SECOND, more)
    assert found.duplicated
    assert not found.holds


def test_a_second_answer_to_a_command_is_a_duplicate():
    answers = [reply(f"$r{n}", "$1", "Write plain text") for n in (1, 2)]
    assert result(asked("$1", "!help"), *answers).duplicated


def test_an_answer_before_that_of_an_earlier_message_is_out_of_order():
    found = result(*QUESTIONS, SECOND, FIRST)
    assert found.out_of_order
    assert not found.holds


def test_an_answer_to_a_command_may_come_earlier():
    questions = (QUESTIONS[0], asked("$2", "!help"))
    assert result(*questions, reply("$r2", "$2", "Write plain text"), FIRST).holds


def test_kills_without_an_event_of_the_bot_between_them_count_as_one():
    def sent_at(seconds):
        return RoomEvent("!room", "m.room.message", {}, "$x", BOT, sent_at_ms=int(seconds * 1000))

    events = [sent_at(9), sent_at(12), sent_at(20)]
    assert recovery_times(events, BOT, [10.0, 11.0, 15.0, 30.0]) == [2.0, 5.0]

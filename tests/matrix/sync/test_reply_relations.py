"""A message that a sync repeats together with its answer is not answered again (contracts D1, D12)."""

import pytest

from machines.events.matrix import BegunPart, LastMessageShown, MessageArrived
from machines.ids import EventId
from matrix.sync.timeline import decode_page
from tests.matrix.raw_events import (
    BOT,
    ME,
    ROOM,
    SINCE,
    decode_sync,
    decoded_events,
    event,
    joined,
    text,
)


def reply(event_id, answers, *, partial=False, sender=BOT, **more):
    content = {"msgtype": "m.text", "body": "an answer", "org.lambda.surfaces.answers": answers}
    if partial:
        content["org.lambda.surfaces.partial"] = True
    return event(event_id=event_id, sender=sender, content=content | more)


def edit(event_id, target, answers, *, partial=False):
    relation = {"rel_type": "m.replace", "event_id": target}
    new = reply("", answers, partial=partial)["content"]
    more = {"m.relates_to": relation, "m.new_content": new}
    return reply(event_id, answers, partial=partial, **more)


def ids(found):
    return [each.event_id for each in found if not isinstance(each, LastMessageShown)]


def last_shown(*events):
    return decode_sync(joined(*events), BOT, SINCE).last_shown


def test_a_message_with_its_complete_answer_is_dropped():
    shown = [text("asked", "$1"), reply("$2", "$1"), text("new", "$3")]
    assert ids(decoded_events(joined(*shown))) == ["$3"]
    assert ids(decode_page(shown, ROOM, BOT)) == ["$3"]


def test_an_answer_counts_with_its_last_edit():
    begun = [text("asked", "$1"), reply("$2", "$1", partial=True), edit("$3", "$2", "$1")]
    assert decoded_events(joined(*begun)) == []


def test_a_message_with_an_incomplete_answer_has_its_parts():
    begun = [
        text("asked", "$1"),
        reply("$2", "$1", partial=True),
        edit("$3", "$2", "$1", partial=True),
    ]
    (each,) = decoded_events(joined(*begun))
    assert isinstance(each, MessageArrived)
    assert each.begun == (BegunPart(EventId("$2"), edits=1),)


@pytest.mark.parametrize(
    "behind",
    [reply("$2", "$1", sender=ME), reply("$2", "$0"), event(event_id="$2", sender=BOT)],
    ids=["another's", "to something else", "to nothing"],
)
def test_no_other_event_settles_a_message(behind):
    assert "$1" in ids(decoded_events(joined(text("asked", "$1"), behind)))


# -- the newest message of a timeline (contract D18) -------------------------------------------------


def test_an_own_message_at_the_end_of_a_timeline_is_reported_with_what_it_answers():
    shown = [text("one", "$1"), text("two", "$2"), reply("$3", "$1")]
    assert last_shown(*shown) == (LastMessageShown(ROOM, EventId("$1")),)
    assert last_shown(reply("$3", "$1")) == (LastMessageShown(ROOM, EventId("$1")),)
    assert decode_page(shown, ROOM, BOT)[-1] == LastMessageShown(ROOM, EventId("$1"))


def test_a_message_that_gets_no_answer_is_reported_too():
    notice = event(event_id="$2", content={"msgtype": "m.notice", "body": "x"})
    forged = reply("$2", "$1", sender=ME)
    forged["content"]["msgtype"] = "m.notice"
    for each in (notice, forged):
        assert last_shown(text("one", "$1"), each) == (LastMessageShown(ROOM),)


@pytest.mark.parametrize(
    "behind",
    [
        edit("$3", "$0", "$0"),
        reply("$3", "$0") | {"unsigned": {"redacted_because": {}}},
        event("m.reaction", BOT, "$3"),
        event("m.room.member", BOT, "$3", state_key="@x:y", content={"membership": "join"}),
    ],
    ids=["edit", "redacted", "reaction", "member"],
)
def test_what_is_no_message_is_not_the_newest_one(behind):
    assert last_shown(text("one", "$1"), behind) == ()
    page = decode_page([text("one", "$1"), behind], ROOM, BOT)
    assert not any(isinstance(each, LastMessageShown) for each in page)


def test_a_page_of_history_without_a_message_to_answer_reports_nothing():
    assert decode_page([reply("$2", "$1")], ROOM, BOT) == ()

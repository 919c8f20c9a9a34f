"""A message that a sync repeats together with its answer is not answered again (contracts D1, D12)."""

import pytest

from machines.events.matrix import BegunPart, MessageArrived
from machines.ids import EventId
from matrix.sync.timeline import decode_page
from tests.matrix.raw_events import BOT, ME, ROOM, decoded_events, event, joined, text


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
    return [each.event_id for each in found]


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

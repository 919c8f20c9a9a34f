"""What is malformed in a sync response is set aside with its reason, and its neighbours go on (contract D9)."""

import pytest

from machines.facts import MalformedArrived
from machines.ids import EventId
from matrix.decoding import decode_page, decode_sync
from tests.matrix.raw_events import BOT, ME, ROOM, SINCE, event, joined, member, text

MALFORMED = [
    None,
    5,
    "text",
    [],
    {},
    {"type": None},
    {"type": ["m.room.message"]},
    {"type": "m.room.message"},
    event(event_id=None),
    event(event_id="no-sigil"),
    event(event_id="$" + "x" * 300),
    event(event_id="$\ud800"),
    event(sender=None),
    event(sender="me"),
    event(sender={"a": 1}),
    event(content=None),
    event(content=[]),
    event(content={"body": "no msgtype"}),
    event(content={"msgtype": 5, "body": "x"}),
    event(content={"msgtype": ["m.text"], "body": "x"}),
    event(content={"msgtype": "m.text"}),
    event(content={"msgtype": "m.text", "body": None}),
    event(content={"msgtype": "m.text", "body": {"a": "b"}}),
    event(content={"msgtype": "m.file"}),
    event(content={"msgtype": "m.text", "body": "x", "m.relates_to": "y"}),
    event() | {"origin_server_ts": "soon"},
    event() | {"origin_server_ts": True},
    event() | {"origin_server_ts": 1e400},
    event() | {"origin_server_ts": -1},
    event() | {"origin_server_ts": 10**30},
    event("m.room.encrypted", content={}),
    event("m.room.encrypted", content={"algorithm": 5, "ciphertext": []}),
    member("@x:y", "dancing"),
    member("@x:y", ["join"]),
    member("not a user", "join"),
    event("m.room.member", state_key=["@x:y"], content={"membership": "join"}),
]


@pytest.mark.parametrize("bad", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_event_is_set_aside_and_its_neighbours_go_on(bad):
    batch = decode_sync(joined(text("a", "$a"), bad, text("b", "$b")), BOT, SINCE)
    told = [fact for fact in batch.facts if not isinstance(fact, MalformedArrived)]
    assert [fact.event_id for fact in told] == ["$a", "$b"]
    (quarantined,) = batch.quarantined
    assert (quarantined.source, quarantined.room_id) == ("timeline", ROOM)
    assert quarantined.reason
    assert decode_page([text("a", "$a"), bad], ROOM, BOT) == batch.facts[:-1]


def test_of_a_malformed_message_is_told_who_sent_it_where_that_is_known():
    known = event(content={"msgtype": "m.text"})
    for bad in (known, known | {"content": 5}, known | {"origin_server_ts": "soon"}):
        (fact,) = decode_sync(joined(bad), BOT, SINCE).facts
        assert fact == MalformedArrived(ROOM, EventId("$1"), ME)
    for nobody in (known | {"sender": "me"}, known | {"event_id": 5}, known | {"sender": BOT}):
        assert decode_sync(joined(nobody), BOT, SINCE).facts == ()


@pytest.mark.parametrize("bad", [None, 5, "x", [], {"timeline": []}, {"timeline": {"events": 5}}])
def test_a_malformed_room_leaves_the_other_rooms_alone(bad):
    response = joined(text("a", "$a"))
    response["rooms"]["join"] = {"!bad": bad, "no room id": {}, **response["rooms"]["join"]}
    response["rooms"]["invite"] = {"!i": bad}
    response["rooms"]["leave"] = bad
    batch = decode_sync(response, BOT, SINCE)
    assert [fact for fact in batch.facts if fact.room_id == ROOM]
    assert batch.quarantined


@pytest.mark.parametrize("response", [None, [], 5, {}, {"next_batch": 5}, {"next_batch": ""}])
def test_a_response_without_a_token_skips_nothing(response):
    assert decode_sync(response, BOT, SINCE).token == SINCE


def test_key_messages_are_kept_raw_and_malformed_ones_set_aside():
    deep = current = {}
    for _ in range(200):
        current["x"] = current = {}
    good = {"type": "m.room_key", "sender": ME, "content": {"a": [1, {"b": None}]}}
    response = {"next_batch": "s", "to_device": {"events": [good, 5, {"type": 1}, deep, None]}}
    response["to_device"]["events"].append({"type": "m.room.encrypted", "content": deep})
    batch = decode_sync(response, BOT, SINCE)
    assert batch.to_device == (good,)
    assert [q.source for q in batch.quarantined] == ["to_device"] * 5

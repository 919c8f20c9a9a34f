"""Malformed parts of a sync response are quarantined with their reason; the others are decoded (contract D9)."""

import pytest

from machines.events.matrix import LastMessageShown, MalformedArrived, SyncBatch
from machines.ids import EventId, SyncToken
from matrix.sync.timeline import decode_page
from tests.matrix.raw_events import BOT, ME, ROOM, SINCE, decode_sync, event, joined, member, text

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
def test_a_malformed_event_is_quarantined_and_its_neighbours_are_decoded(bad):
    batch = decode_sync(joined(text("a", "$a"), bad, text("b", "$b")), BOT, SINCE)
    decoded = [each for each in batch.events if not isinstance(each, MalformedArrived)]
    assert [each.event_id for each in decoded] == ["$a", "$b"]
    (quarantined,) = batch.quarantined
    assert (quarantined.source, quarantined.room_id) == ("timeline", ROOM)
    assert quarantined.reason
    page = decode_page([text("a", "$a"), bad], ROOM, BOT)
    assert [each for each in page if not isinstance(each, LastMessageShown)] == [*batch.events[:-1]]


def test_a_malformed_message_is_decoded_with_its_sender_where_it_is_known():
    known = event(content={"msgtype": "m.text"})
    for bad in (known, known | {"content": 5}, known | {"origin_server_ts": "soon"}):
        (each,) = decode_sync(joined(bad), BOT, SINCE).events
        assert each == MalformedArrived(ROOM, EventId("$1"), ME)
    for nobody in (known | {"sender": "me"}, known | {"event_id": 5}, known | {"sender": BOT}):
        assert decode_sync(joined(nobody), BOT, SINCE).events == ()


@pytest.mark.parametrize("bad", [None, 5, "x", [], {"timeline": []}, {"timeline": {"events": 5}}])
def test_a_malformed_room_does_not_affect_the_other_rooms(bad):
    response = joined(text("a", "$a"))
    response["rooms"]["join"] = {"!bad": bad, "no room id": {}, **response["rooms"]["join"]}
    response["rooms"]["invite"] = {"!i": bad}
    response["rooms"]["leave"] = bad
    batch = decode_sync(response, BOT, SINCE)
    assert [each for each in batch.events if each.room_id == ROOM]
    assert batch.quarantined


@pytest.mark.parametrize("response", [None, [], 5, {}, {"next_batch": 5}, {"next_batch": ""}])
def test_a_response_without_a_token_skips_nothing(response):
    assert decode_sync(response, BOT, SINCE).token == SINCE


def to_device(*events):
    return decode_sync({"next_batch": "s", "to_device": {"events": list(events)}}, BOT, SINCE)


def key(kind="m.room.encrypted", sender=ME, **content):
    return {"type": kind, "sender": sender, "content": content}


def deep():
    bottomless = current = {}
    for _ in range(200):
        current["x"] = current = {}
    return bottomless


@pytest.mark.parametrize(
    "message",
    [
        None,
        5,
        {},
        {"type": 1},
        key(sender=None),
        key(sender="no user"),
        key() | {"content": []},
    ],
    ids=repr,
)
def test_a_malformed_to_device_message_is_quarantined_and_stops_nothing(message):
    batch = to_device(message, key())
    assert batch.token == "s"
    assert [(q.source, q.times) for q in batch.quarantined] == [("to_device", 1)]


@pytest.mark.parametrize(
    "message", [key(), key("m.x"), key(deep=deep()), key(large="x" * 100_000)], ids=len
)
def test_other_to_device_messages_leave_nothing_behind(message):
    assert to_device(message) == SyncBatch(SyncToken("s"))


def test_the_malformed_messages_of_one_sender_are_one_line():
    wrong = [key() | {"type": number} for number in range(50)]
    batch = to_device(*wrong, key(sender="@other:here") | {"type": None})
    assert [(q.sender, q.times) for q in batch.quarantined] == [(ME, 50), ("@other:here", 1)]

"""No damaged sync response, and no other JSON instead of one, raises an error (contract D9)."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machines.events.matrix import MessageArrived, SyncBatch
from matrix.errors import Unreachable
from matrix.sync.read_position import unanswered_messages
from tests.matrix.raw_events import (
    BOT,
    ME,
    ROOM,
    SINCE,
    decode_sync,
    event,
    joined,
    left,
    member,
    read_full_state,
    text,
)


def check(response):
    """Decode, and check that the batch can be journalled and the response is unchanged."""
    before = repr(response)
    batch = decode_sync(response, BOT, SINCE)
    assert_full_state_is_equal(response, batch)
    assert isinstance(batch, SyncBatch)
    for each in batch.events:
        assert each.room_id.encode()
        if isinstance(each, MessageArrived):
            assert each.body.encode() is not None
            assert each.sender != BOT
    assert repr(response) == before
    return batch


def assert_full_state_is_equal(response, batch):
    """Check that reading the text room by room gives the same result as decoding the parsed response."""
    try:
        seen = read_full_state(json.dumps(response).encode(), BOT, SINCE)
    except Unreachable:
        token = response.get("next_batch") if isinstance(response, dict) else None
        assert not token or not isinstance(token, str)
    else:
        assert repr(seen.batch) == repr(batch)
        assert set(seen.rooms_to_read) <= set(seen.topology.rooms)


def damaged(value, rng):
    """Copy a JSON value with random parts replaced."""
    if rng.random() < 0.06:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {
            rng.choice(KEYS) if rng.random() < 0.03 else key: damaged(item, rng)
            for key, item in value.items()
            if rng.random() > 0.02
        }
    if isinstance(value, list):
        items = [damaged(item, rng) for item in value if rng.random() > 0.02]
        return items * rng.choice([1, 1, 1, 2])
    return value


JUNK: list = [
    None,
    True,
    0,
    -1,
    10**40,
    1e400,
    "",
    "x",
    "\ud800",
    BOT,
    ME,
    ROOM,
    [],
    [[]],
    {},
    {"": 1},
]
KEYS = ["", "type", "events", "content", "state_key", "m.relates_to", "\udfff", ROOM, BOT]


def complete_response():
    """A response with one part of each kind."""
    response = joined(
        text("before", "$0"),
        member(BOT, "leave", "$out", sender=ME, previous="join"),
        member(BOT, "join", "$1", previous="invite"),
        text("hi", "$2", relation={"rel_type": "m.thread", "event_id": "$r"}),
        text("> <@a:b> x\n\ny", "$3", relation={"m.in_reply_to": {"event_id": "$2"}}),
        event(event_id="$4", content={"msgtype": "m.image", "body": "x", "url": "mxc://a/b"}),
        event("m.room.encrypted", event_id="$5", content={"algorithm": "a", "ciphertext": "c"}),
        member(ME, "leave", "$6", previous="join"),
        event("m.room.encryption", event_id="$7", state_key="", content={"algorithm": "a"}),
        limited=True,
        state=[
            event("m.room.create", BOT, "$c", state_key="", content={"type": "m.space"}),
            event("m.space.child", BOT, "$d", state_key="!child", content={"via": ["here"]}),
            event("m.room.name", BOT, "$n", state_key="", content={"name": "x"}),
        ],
    )
    response["rooms"]["join"][ROOM]["account_data"] = {
        "events": [{"type": "org.lambda.surfaces.room", "content": {"chat_id": "C1"}}]
    }
    response["rooms"]["leave"] = left(member(BOT, "ban", sender=ME))["rooms"]["leave"]
    stripped = {
        "type": "m.room.member",
        "sender": ME,
        "state_key": BOT,
        "content": {"membership": "invite"},
    }
    response["rooms"]["invite"] = {"!i": {"invite_state": {"events": [stripped]}}}
    response["to_device"] = {
        "events": [{"type": "m.room.encrypted", "sender": ME, "content": {"a": [{}]}}]
    }
    return response


def history_of_a_room():
    """A history with answers, parts and edits of them."""
    marks = {"org.lambda.surfaces.answers": "$3", "org.lambda.surfaces.partial": True}
    answer = {"msgtype": "m.text", "body": "x", "org.lambda.surfaces.part": 1, **marks}
    relation = {"rel_type": "m.replace", "event_id": "$a"}
    edit = {**answer, "m.new_content": answer, "m.relates_to": relation}
    return [
        text("finished", "$2"),
        text("begun", "$3"),
        event("m.room.message", BOT, "$a", content=answer),
        event("m.room.message", BOT, "$b", content=edit),
        text("new", "$4"),
    ]


@pytest.mark.slow
def test_no_damage_to_a_response_raises_an_error():
    rng = random.Random(20_000)
    seen = Counter()
    for _ in range(20_000):
        batch = check(damaged(complete_response(), rng))
        seen.update(type(each).__name__ for each in batch.events)
        events = damaged(history_of_a_room(), rng)
        unanswered_messages(events if isinstance(events, list) else [], ROOM, "$2", BOT)
        seen.update(quarantined.reason for quarantined in batch.quarantined)
    # The damage reaches all parts and leaves enough of them valid.
    assert len(seen) > 25, seen
    assert min(seen.values()) > 10, seen


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.slow
@settings(deadline=None, database=None, max_examples=300)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_no_json_raises_an_error(one, two, three):
    check(one)
    check({"next_batch": "s", "rooms": one, "to_device": {"events": [two, three]}})
    check(joined(one, two, state=[three]))

"""A full-state sync is read room by room, completely, with any content, and in little memory."""

import json
import tracemalloc

import pytest

from machines.ids import RoomId
from matrix.errors import Unreachable
from matrix.http.parsing import MAX_DEPTH
from tests.matrix.raw_events import BOT, ME, SINCE, event, read_full_state, text

ONE, OTHER = RoomId("!one"), RoomId("!other")


def room(*timeline, position=None, **more):
    """A room created by the bot, in a full-state sync."""
    create = event("m.room.create", BOT, "$c", state_key="", content={})
    positions = (
        [] if position is None else [{"type": "m.fully_read", "content": {"event_id": position}}]
    )
    return {
        "state": {"events": [create]},
        "timeline": {"events": list(timeline)},
        "account_data": {"events": positions},
        **more,
    }


def body(**rooms):
    return json.dumps({"next_batch": "s1", "rooms": {"join": rooms}}).encode()


def test_each_room_is_in_the_batch_and_in_the_topology_and_settled_or_not():
    raw = body(
        **{
            ONE: room(text("a question", "$q"), position="$before"),
            OTHER: room(text("answered", "$a"), position="$a"),
            "!never": room(text("never finished one", "$n")),
            "!silent": room(position="$before"),
        }
    )
    seen = read_full_state(raw, BOT, None)
    assert [each.event_id for each in seen.batch.events] == ["$q", "$a", "$n"]
    assert list(seen.topology.rooms) == [ONE, OTHER, "!never", "!silent"]
    assert {each.created_by for each in seen.topology.rooms.values()} == {BOT}
    assert seen.rooms_to_read == {ONE: "$before", "!never": None}


@pytest.mark.parametrize(
    ("last", "since", "believed"),
    [
        (text("!rename Plans", "$r"), None, False),
        (event("m.room.encrypted", ME, "$e", content={}), None, False),
        (text("hello", "$h"), None, True),
        (text("!rename Plans", "$r"), SINCE, True),
    ],
)
def test_a_name_that_may_be_older_than_a_rename_is_left_out(last, since, believed):
    shown = room(last)
    name = event("m.room.name", BOT, "$n", state_key="", content={"name": "Old"})
    shown["state"]["events"].append(name)
    seen = read_full_state(body(**{ONE: shown}), BOT, since)
    assert seen.topology.rooms[ONE].name == ("Old" if believed else None)


DEEP = "[" * 50_000 + "]" * 50_000
HARD_TO_READ = {
    "bottomless": f'{{"state": {{"events": [{DEEP}]}}, "deep": {DEEP}}}'.encode(),
    "endless number": b'{"state": {"events": [' + b"9" * 5_000 + b"]}}",
    "no UTF-8": b'{"state": {"events": ["\xff\xfe"]}}',
    "half a pair": b'{"state": {"events": ["\\ud800"]}}',
    "not a number": b'{"state": {"events": [NaN, 1e400]}}',
}


@pytest.mark.parametrize("hostile", HARD_TO_READ.values(), ids=HARD_TO_READ.keys())
def test_a_room_that_is_hard_to_parse_does_not_affect_the_others(hostile):
    raw = body(**{ONE: "HOSTILE", OTHER: room(text("hello", "$1"))}).replace(b'"HOSTILE"', hostile)
    seen = read_full_state(raw, BOT, SINCE)
    assert list(seen.topology.rooms) == [ONE, OTHER]
    assert [(each.room_id, each.event_id) for each in seen.batch.events] == [(OTHER, "$1")]


def test_a_room_is_read_at_any_depth_around_the_limit():
    # The depth may exceed the limit in the whole response, or only in the text of the room.
    for depth in range(MAX_DEPTH, 1_100, 50):
        nested = b"[" * depth + b"]" * depth
        raw = body(**{ONE: room(text("hello", "$1"), deep="DEEP")}).replace(b'"DEEP"', nested)
        assert [each.event_id for each in read_full_state(raw, BOT, SINCE).batch.events] == ["$1"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"rooms": {}}',
        b'{"next_batch": 7}',
        b'{"next_batch": ""}',
        body(**{ONE: room()})[:-1],
        b'{"next_batch": "s1", "rooms": {"join": {"!one": {]}}}',
    ],
)
def test_a_body_that_is_not_a_sync_response_is_unreachable(raw):
    with pytest.raises(Unreachable):
        read_full_state(raw, BOT, SINCE)


@pytest.mark.slow
def test_only_one_room_at_a_time_is_in_memory_as_a_tree():
    padding = {f"k{number}": [number, {}] for number in range(100)}
    raw = body(**{f"!{number}": room(text("hello", "$1"), more=padding) for number in range(1_000)})
    assert (
        peak_memory(lambda: read_full_state(raw, BOT, SINCE))
        < peak_memory(lambda: json.loads(raw)) / 4
    )


def peak_memory(read):
    """Return the peak memory of reading, without the text itself."""
    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak


def test_the_other_parts_of_the_response_are_read_too():
    invited = {"type": "m.room.member", "sender": ME, "state_key": BOT}
    invited["content"] = {"membership": "invite"}
    rooms = {"join": None, "invite": {"!i": {"invite_state": {"events": [invited]}}}}
    devices = {"events": [{"type": "m.room.encrypted", "sender": ME}]}
    raw = json.dumps({"next_batch": "s1", "rooms": rooms, "to_device": devices}).encode()
    batch = read_full_state(raw, BOT, SINCE).batch
    assert [each.room_id for each in batch.events] == ["!i"]
    assert [(each.source, each.sender) for each in batch.quarantined] == [("to_device", ME)]

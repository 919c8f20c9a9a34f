"""Reading room history and gaps, also where the homeserver refuses a part of it (contracts D4, D12)."""

import json
import random

import pytest
from structlog.testing import capture_logs

from machines.errors import HistoryUnavailable, TokenUnknown
from machines.events.matrix import Gap, MessageArrived
from machines.ids import RoomId, SyncToken
from matrix.http.transport import Transport
from matrix.keys import ANSWERS_KEY, PARTIAL_KEY
from matrix.sync.history import read_back, read_gap
from matrix.sync.read_position import SETTLING_S, UnansweredReader, unanswered_messages
from tests.matrix.fake_backend import FakeBackend, error_response, json_response
from tests.matrix.raw_events import BOT, ME, joined, member, read_full_state, text
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

REFUSED, READABLE = RoomId("!refused"), RoomId("!readable")


def initial_body():
    """An initial sync of two rooms with a message and without a read position."""
    (room,) = joined(text("newest", "$3"))["rooms"]["join"].values()
    response = {"next_batch": "s1", "rooms": {"join": {REFUSED: room, READABLE: room}}}
    return json.dumps(response).encode()


def history(request):
    """Two pages, newest first; for one room the second is refused."""
    if request.query.get("from", "s1") == "s1":
        return json_response({"chunk": [text("newest", "$3"), text("older", "$2")], "end": "p2"})
    if REFUSED[1:] in request.path:
        return error_response(403, "M_FORBIDDEN")
    return json_response({"chunk": [text("oldest", "$1"), member(BOT, "join", "$0")]})


async def test_a_refused_history_is_logged_and_its_read_messages_are_answered():
    clock = VirtualClock()
    backend = FakeBackend(clock, history)
    transport = Transport(backend, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    seen = read_full_state(initial_body(), BOT, None)
    with capture_logs() as log:
        async with clock.running():
            reader = UnansweredReader(transport, BOT, clock)
            batch = await reader.resume_batch(seen.batch, seen.rooms_to_read)
    bodies = {room: [] for room in (REFUSED, READABLE)}
    for each in batch.events:
        assert isinstance(each, MessageArrived)
        bodies[each.room_id].append(each.body)
    assert bodies == {REFUSED: ["older", "newest"], READABLE: ["oldest", "older", "newest"]}
    refused = {
        "event": "history_refused",
        "log_level": "warning",
        "room_id": REFUSED,
        "errcode": "M_FORBIDDEN",
        "events": 2,
    }
    assert log == [refused, refused]


@pytest.mark.parametrize("late_s", [0.0, SETTLING_S - 0.1, None], ids=["before", "late", "never"])
async def test_an_answer_that_an_earlier_process_still_sends_is_found(late_s):
    """The process was killed, and its database lost; its request arrives after the start of the next process."""
    clock = VirtualClock()
    started_at = clock.now()

    def history_with_late_answer(request):
        newest_first = [text("question", "$3"), member(BOT, "join", "$0")]
        arrived = late_s is not None and clock.now() >= started_at + late_s
        # The token of the sync is before the late answer.
        if arrived and ("from" not in request.query or late_s == 0.0):
            newest_first.insert(0, partial_answer)
        return json_response({"chunk": newest_first})

    partial_answer = text("an ans", "$4", sender=BOT)
    partial_answer["content"] |= {ANSWERS_KEY: "$3", PARTIAL_KEY: True}
    backend = FakeBackend(clock, history_with_late_answer)
    transport = Transport(backend, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    reader = UnansweredReader(transport, BOT, clock)
    async with clock.running():
        message, *_ = await reader.read(READABLE, SyncToken("s1"), None)
    assert isinstance(message, MessageArrived)
    assert [part.event_id for part in message.begun] == ([] if late_s is None else ["$4"])


@pytest.mark.parametrize("later", ["nothing to answer", "long after the start"])
async def test_a_start_waits_for_late_answers_only_where_there_may_be_some(later):
    clock = VirtualClock()
    finished = text("an answer", "$4", sender=BOT)
    finished["content"] |= {ANSWERS_KEY: "$3"}
    chunk = [finished, text("question", "$3"), member(BOT, "join", "$0")]
    if later == "long after the start":
        del chunk[0]
    backend = FakeBackend(clock, lambda _: json_response({"chunk": chunk}))
    transport = Transport(backend, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    reader = UnansweredReader(transport, BOT, clock)
    async with clock.running():
        if later == "long after the start":
            await clock.sleep(SETTLING_S)
        began_at = clock.now()
        await reader.read(READABLE, SyncToken("s1"), None)
    assert len(backend.requests) == 1
    assert clock.now() - began_at < 1.0


@pytest.mark.parametrize("has_previous", [True, False], ids=["with previous membership", "without"])
async def test_history_is_read_beyond_a_changed_name_up_to_the_join(has_previous):
    def whole(_):
        newest_first = [
            text("newest", "$6"),
            member(
                BOT, "join", "$5", previous="join" if has_previous else None, displayname="Lambda"
            ),
            text("older", "$4"),
            member(BOT, "join", "$3", previous="invite" if has_previous else None),
            member(BOT, "invite", "$2", sender=ME),
            text("from before", "$1"),
        ]
        return json_response({"chunk": newest_first, "end": "p2"})

    clock = VirtualClock()
    backend = FakeBackend(clock, whole)
    transport = Transport(backend, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    async with clock.running():
        found = await read_back(transport, BOT, READABLE, SyncToken("s1"), None)
    assert [event["event_id"] for event in found] == ["$3", "$4", "$5", "$6"]
    assert [each.event_id for each in unanswered_messages(found, READABLE, None, BOT)] == [
        "$4",
        "$6",
    ]


@pytest.mark.parametrize(
    ("status", "error_raised"),
    [(403, None), (404, None), (400, TokenUnknown), (413, HistoryUnavailable)],
)
async def test_a_gap_that_cannot_be_read_differs_from_a_room_that_the_bot_left(
    status, error_raised
):
    clock = VirtualClock()
    backend = FakeBackend(clock, lambda _: error_response(status, "M_UNKNOWN"))
    transport = Transport(backend, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in=True)
    raised = None
    async with clock.running():
        try:
            found = [page async for page in read_gap(transport, BOT, gap)]
        except (TokenUnknown, HistoryUnavailable) as fault:
            raised = type(fault)
        else:
            assert found == []
    assert raised is error_raised


async def test_a_gap_whose_request_is_poison_is_not_treated_as_read():
    """The request is given up while all others succeed, but its events still exist."""
    clock = VirtualClock()

    def backend(request):
        return error_response(500, "M_UNKNOWN") if "messages" in request.path else json_response({})

    transport = Transport(
        FakeBackend(clock, backend), clock, lambda *_: None, random.Random(1).random
    )
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in=True)
    async with clock.running():
        with pytest.raises(HistoryUnavailable):
            await anext(read_gap(transport, BOT, gap))


@pytest.mark.parametrize(("was_in", "expected"), [(True, ["$1", "$3"]), (False, ["$3"])])
async def test_a_gap_begins_after_the_join_only_if_the_bot_was_not_in_the_room_before(
    was_in, expected
):
    def page(_):
        return json_response(
            {"chunk": [text("a", "$1"), member(BOT, "join", "$2"), text("b", "$3")]}
        )

    clock = VirtualClock()
    transport = Transport(FakeBackend(clock, page), clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in)
    async with clock.running():
        found = [each async for page in read_gap(transport, BOT, gap) for each in page]
    assert [each.event_id for each in found] == expected

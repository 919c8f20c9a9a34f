"""A homeserver that refuses a room's history: what was read of it counts, and the log says so (contract D12)."""

import json
import random

import pytest
from structlog.testing import capture_logs

from machines.errors import HistoryUnavailable, TokenUnknown
from machines.facts import Gap, MessageArrived
from machines.ids import RoomId, SyncToken
from matrix.http.transport import Transport
from matrix.sync.history import pages, read_back
from matrix.sync.read_position import left_to_answer
from matrix.sync.resuming import resume_batch
from tests.matrix.fake_backend import FakeBackend, error_response, json_response
from tests.matrix.raw_events import BOT, ME, joined, member, read_full_state, text
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

REFUSED, READABLE = RoomId("!refused"), RoomId("!readable")


def initial_body():
    """An initial sync of two rooms in which somebody has spoken, and which have no place yet."""
    (room,) = joined(text("newest", "$3"))["rooms"]["join"].values()
    response = {"next_batch": "s1", "rooms": {"join": {REFUSED: room, READABLE: room}}}
    return json.dumps(response).encode()


def history(request):
    """Two pages, newest first; of one room the second is refused."""
    if request.query["from"] == "s1":
        return json_response({"chunk": [text("newest", "$3"), text("older", "$2")], "end": "p2"})
    if REFUSED[1:] in request.path:
        return error_response(403, "M_FORBIDDEN")
    return json_response({"chunk": [text("oldest", "$1"), member(BOT, "join", "$0")]})


async def test_a_refused_history_is_logged_and_what_was_read_of_it_is_answered():
    clock = VirtualClock()
    network = FakeBackend(clock, history)
    transport = Transport(network, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    seen = read_full_state(initial_body(), BOT, None)
    with capture_logs() as log:
        async with clock.running():
            batch = await resume_batch(transport, BOT, seen.batch, seen.unsettled)
    said = {room: [] for room in (REFUSED, READABLE)}
    for fact in batch.facts:
        assert isinstance(fact, MessageArrived)
        said[fact.room_id].append(fact.body)
    assert said == {REFUSED: ["older", "newest"], READABLE: ["oldest", "older", "newest"]}
    assert log == [
        {
            "event": "history_refused",
            "log_level": "warning",
            "room_id": REFUSED,
            "errcode": "M_FORBIDDEN",
            "events": 2,
        }
    ]


@pytest.mark.parametrize("told", [True, False], ids=["told what was before", "not told"])
async def test_a_changed_name_does_not_end_the_history_and_the_join_does(told):
    def whole(_):
        newest_first = [
            text("newest", "$6"),
            member(BOT, "join", "$5", previous="join" if told else None, displayname="Lambda"),
            text("older", "$4"),
            member(BOT, "join", "$3", previous="invite" if told else None),
            member(BOT, "invite", "$2", sender=ME),
            text("from before", "$1"),
        ]
        return json_response({"chunk": newest_first, "end": "p2"})

    clock = VirtualClock()
    network = FakeBackend(clock, whole)
    transport = Transport(network, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    async with clock.running():
        found = await read_back(transport, BOT, READABLE, SyncToken("s1"), None)
    assert [event["event_id"] for event in found] == ["$3", "$4", "$5", "$6"]
    assert [fact.event_id for fact in left_to_answer(found, READABLE, None, BOT)] == ["$4", "$6"]


@pytest.mark.parametrize(
    ("status", "error_raised"),
    [(403, None), (404, None), (400, TokenUnknown), (413, HistoryUnavailable)],
)
async def test_a_gap_that_the_homeserver_cannot_show_is_told_from_a_room_that_the_bot_is_out_of(
    status, error_raised
):
    clock = VirtualClock()
    network = FakeBackend(clock, lambda _: error_response(status, "M_UNKNOWN"))
    transport = Transport(network, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in=True)
    raised = None
    async with clock.running():
        try:
            found = [facts async for facts in pages(transport, BOT, gap)]
        except (TokenUnknown, HistoryUnavailable) as fault:
            raised = type(fault)
        else:
            assert found == []
    assert raised is error_raised


async def test_a_gap_that_fails_alone_is_not_taken_for_read():
    """While everything else works a request is given up in the end: what it was to show is still there."""
    clock = VirtualClock()

    def network(request):
        return error_response(500, "M_UNKNOWN") if "messages" in request.path else json_response({})

    transport = Transport(
        FakeBackend(clock, network), clock, lambda *_: None, random.Random(1).random
    )
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in=True)
    async with clock.running():
        with pytest.raises(HistoryUnavailable):
            await anext(pages(transport, BOT, gap))


@pytest.mark.parametrize(("was_in", "expected"), [(True, ["$1", "$3"]), (False, ["$3"])])
async def test_a_gap_begins_after_the_join_only_where_the_bot_was_not_in_before(was_in, expected):
    def page(_):
        return json_response(
            {"chunk": [text("a", "$1"), member(BOT, "join", "$2"), text("b", "$3")]}
        )

    clock = VirtualClock()
    transport = Transport(FakeBackend(clock, page), clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    gap = Gap(READABLE, SyncToken("p0"), SyncToken("s1"), was_in)
    async with clock.running():
        found = [fact async for facts in pages(transport, BOT, gap) for fact in facts]
    assert [fact.event_id for fact in found] == expected

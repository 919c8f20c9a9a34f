"""A homeserver that refuses a room's history: what was read of it counts, and the log says so (contract D12)."""

import json
import random

import pytest
from structlog.testing import capture_logs

from machines.facts import MessageArrived
from machines.ids import RoomId
from matrix.full_state import read_full_state
from matrix.resuming import resumed
from matrix.transport import Transport
from tests.matrix.fake_network import FakeNetwork, answer, error
from tests.matrix.raw_events import BOT, joined, member, text
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
        return answer({"chunk": [text("newest", "$3"), text("older", "$2")], "end": "p2"})
    if REFUSED[1:] in request.path:
        return error(403, "M_FORBIDDEN")
    return answer({"chunk": [text("oldest", "$1"), member(BOT, "join", "$0")]})


async def test_a_refused_history_is_logged_and_what_was_read_of_it_is_answered():
    clock = VirtualClock()
    network = FakeNetwork(clock, history)
    transport = Transport(network, clock, lambda *_: None, random.Random(1).random)
    transport.use_token("token")
    seen = read_full_state(initial_body(), BOT, None)
    with capture_logs() as log:
        async with clock.running():
            batch = await resumed(transport, BOT, seen.batch, seen.unsettled)
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

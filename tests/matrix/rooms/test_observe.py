"""Observes a room where the homeserver can't return a part of it (contracts C7, R3)."""

import random
from urllib.parse import unquote

import pytest

from machines.ids import RoomId
from matrix.http.transport import Transport
from matrix.rooms.current_state import CurrentState
from matrix.rooms.observe import Observer
from tests.matrix.fake_backend import FakeBackend, error_response, json_response
from tests.matrix.raw_events import BOT, event, member
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

CHAT = RoomId("!chat")
OWN = member(BOT, "join", "$join")
CREATE = event("m.room.create", BOT, "$create", state_key="", content={})


@pytest.mark.parametrize(("status", "shown"), [(404, {CHAT}), (500, set())])
async def test_a_binding_that_cannot_be_read_is_not_treated_as_absent(status, shown):
    """A room without a binding would get new numbers, which would overwrite the old ones."""

    def handle(request):
        path = unquote(request.path)
        if "account_data" in path:
            return error_response(status, "M_NOT_FOUND" if status == 404 else "M_UNKNOWN")
        if "m.room.member" in path:
            return json_response(OWN)
        if "m.room.create" in path:
            return json_response(CREATE)
        return json_response([OWN, CREATE]) if path.endswith("/state") else json_response({})

    clock = VirtualClock()
    transport = Transport(
        FakeBackend(clock, handle), clock, lambda *_: None, random.Random(1).random
    )
    transport.use_token("token")
    async with clock.running():
        seen = await Observer(CurrentState(transport, BOT)).observe(CHAT)
    assert set(seen.rooms) == shown

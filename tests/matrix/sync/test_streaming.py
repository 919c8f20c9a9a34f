"""A sync that is too long to be held is read room by room, with the same result (contract D14, fact 24)."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix import Account, MatrixClient
from matrix.errors import Unreachable
from matrix.http.backend import HttpResponse
from matrix.http.parsing import ROOM_BYTES
from matrix.sync.full_state import FullStateReader, SyncReader
from tests.matrix.fake_backend import FakeBackend, json_response
from tests.matrix.raw_events import BOT, SINCE, event, read_full_state, text
from tests.matrix.virtual_time import VirtualClock

MB = 1024 * 1024


def room(*timeline, padding=0):
    create = event("m.room.create", BOT, "$c", state_key="", content={"x": "y" * padding})
    return {"state": {"events": [create]}, "timeline": {"events": list(timeline)}}


INVITED = {
    "invite_state": {
        "events": [
            {
                "type": "m.room.member",
                "sender": "@ann:x",
                "state_key": BOT,
                "content": {"membership": "invite"},
            }
        ]
    }
}
ROOMS = {
    "join": {
        "!one": room(text('a "quoted" { bracket } \\ and [ more', "$1")),
        "!ключ": room(text("ё", "$2")),
        "!empty": {},
        "!odd": 3,
        "!list": [1, [2, {"a": "}"}]],
        "no id": room(text("lost", "$3")),
    },
    "invite": {"!invited": INVITED},
    "knock": {"!knocked": {}},
    "leave": {"!left": {}},
}
SYNC = {
    "next_batch": "s2",
    "rooms": ROOMS,
    "to_device": {"events": [{"type": "m.room_key", "content": {"rooms": {"join": {"!no": {}}}}}]},
    "presence": {"rooms": [{"join": 1}]},
}


def in_pieces(reader, body, *cuts):
    for begin, end in zip((0, *cuts), (*cuts, len(body)), strict=True):
        reader.feed(body[begin:end])
    return reader.finish()


def parts_of(state):
    """The result, without a quarantine reason that only a response read at once has."""
    batch = state.batch
    odd = [each for each in batch.quarantined if each.room_id != "!odd"]
    return (
        batch.token,
        batch.events,
        batch.gaps,
        odd,
        state.topology,
        state.rooms_to_read,
    )


@pytest.mark.slow
@pytest.mark.parametrize("indent", [None, 1])
@settings(deadline=None, max_examples=200)
@given(cuts=st.lists(st.integers(0, 3000), max_size=40))
def test_a_sync_in_pieces_has_the_same_result(indent, cuts):
    body = json.dumps(SYNC, indent=indent, ensure_ascii=indent is None).encode()
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    seen = in_pieces(FullStateReader(BOT, SINCE), body, *cuts)
    whole = read_full_state(body, BOT, SINCE)
    assert parts_of(seen) == parts_of(whole)
    assert [each.room_id for each in seen.batch.events] == ["!one", "!ключ", "!invited", "!left"]
    assert in_pieces(SyncReader(BOT, SINCE), body, *cuts) == seen.batch


def test_a_sync_byte_by_byte_has_the_same_result():
    body = json.dumps(SYNC).encode()
    seen = in_pieces(FullStateReader(BOT, SINCE), body, *range(1, len(body)))
    assert parts_of(seen) == parts_of(read_full_state(body, BOT, SINCE))


DEEP = b"[" * 50_000 + b"]" * 50_000


@pytest.mark.parametrize(
    "hostile",
    [
        DEEP,
        b'{"state": {"events": [' + b"9" * 5000 + b"]}}",
        b'{"state": "\xff\xfe"}',
        b'"\\ud800"',
    ],
)
def test_a_room_that_is_hard_to_parse_does_not_affect_the_others(hostile):
    good = json.dumps(room(text("hello", "$1"))).encode()
    body = b'{"rooms": {"join": {"!bad": %b, "!good": %b}}, "next_batch": "s"}' % (hostile, good)
    seen = in_pieces(FullStateReader(BOT, SINCE), body, 100, 40_000)
    assert [each.room_id for each in seen.batch.events] == ["!good"]
    assert "!good" in seen.topology.rooms


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [True, False])
def test_a_room_that_is_too_large_is_left_out_and_quarantined(streamed):
    join = {"!large": room(padding=ROOM_BYTES), "!one": room(text("hello", "$1"))}
    join["!fits"] = room(padding=ROOM_BYTES - 1000)
    body = json.dumps({"next_batch": "s", "rooms": {"join": join}}).encode()
    if streamed:
        seen = in_pieces(FullStateReader(BOT, SINCE), body, *range(MB, len(body), MB))
    else:
        seen = read_full_state(body, BOT, SINCE)
    assert seen.topology.unread == {"!large"}
    assert [gap.room_id for gap in seen.batch.gaps] == ["!large"]
    assert list(seen.topology.rooms) == ["!one", "!fits"]
    assert [each.room_id for each in seen.batch.events] == ["!one"]
    (quarantined,) = seen.batch.quarantined
    assert (quarantined.source, quarantined.room_id) == ("sync", "!large")
    assert str(ROOM_BYTES) in quarantined.reason


@pytest.mark.slow
def test_an_invitation_that_is_too_large_is_left_out_and_quarantined():
    invite = {"!large": {"invite_state": {"events": ["x" * ROOM_BYTES]}}, "!ok": INVITED}
    body = json.dumps({"next_batch": "s", "rooms": {"invite": invite}}).encode()
    batch = in_pieces(SyncReader(BOT, SINCE), body, *range(MB, len(body), MB))
    assert [each.room_id for each in batch.events] == ["!ok"]
    assert [each.room_id for each in batch.quarantined] == ["!large"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"  ", b"[]", b"{}", b"<html>", b'"text"', b"{}{}", b"]", b"}",
        b'{"next_batch": "s", "rooms": {"join": {"!a": {}}',
        b'{"next_batch": "s", "rooms": {"join": {"!a": {"x": 1',
        b'{"next_batch": "s", "rooms": {"join": {"!a": ]}}}',
        b'{"next_batch": 3}', b'{"next_batch": "s", "rooms"',
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_complete_sync_is_unreachable(body):
    with pytest.raises(Unreachable):
        in_pieces(SyncReader(BOT, SINCE), body)


def test_an_endless_string_is_not_held():
    reader = SyncReader(BOT, SINCE)
    reader.feed(b'{"next_batch": "s", "rooms": {"join": {"!a": {"x": "')
    with pytest.raises(Unreachable, match="too long"):
        in_pieces(reader, b"x" * (ROOM_BYTES + 2 * MB), *range(MB, ROOM_BYTES, MB))


@pytest.mark.slow
def test_a_response_with_too_much_besides_its_rooms_is_not_held():
    reader = SyncReader(BOT, SINCE)
    reader.feed(b'{"next_batch": "s", "to_device": [')
    with pytest.raises(Unreachable, match="besides rooms"):
        in_pieces(reader, (b'{"x": "' + b"x" * MB + b'"},') * 40, *range(MB, 40 * MB, MB))


# -- on the wire -------------------------------------------------------------------------------------

LARGE_BYTES = 300 * MB
MEMORY_BYTES = 160 * MB
CLIENT = """
import json, resource, sys
import anyio
from machines.ids import UserId
from matrix.http.request import Request
from matrix.clock import SystemClock
from matrix.http.nio_backend import NioBackend
from matrix.sync.full_state import FullStateReader
from matrix.http.transport import Transport

BOT = UserId("@bot:localhost")

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main(url):
    backend = NioBackend(url)
    transport = Transport(backend, SystemClock(), lambda *change: None)
    transport.use_token("token")
    before = peak_bytes()
    seen = await transport.request(Request(
        "GET", "/sync", bucket="sync", timeout_s=120.0, retry_forever=True, long_poll=True,
        reader=lambda: FullStateReader(BOT, None),
    ))
    await backend.aclose()
    print(json.dumps({
        "grown": peak_bytes() - before,
        "rooms": sorted(seen.topology.rooms),
        "oversized": sorted(seen.topology.unread),
    }))

anyio.run(main, sys.argv[1])
"""


@asynccontextmanager
async def homeserver() -> AsyncIterator[str]:
    """Answer each sync with three rooms; the second one is 300 MB."""

    async def sync(request: web.Request) -> web.StreamResponse:
        small = json.dumps(room(text("hello", "$1"))).encode()
        one = json.dumps(
            event("m.room.name", "@u:x", "$n", content={"name": "x" * 60_000})
        ).encode()
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b'{"next_batch": "s", "rooms": {"join": {"!a": ' + small)
        await answer.write(b', "!b": {"state": {"events": [' + one)
        for _ in range(LARGE_BYTES // len(one)):
            await answer.write(b"," + one)
        await answer.write(b']}}, "!c": ' + small + b"}}}")
        return answer

    app = web.Application()
    app.router.add_get("/sync", sync)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@pytest.mark.slow
@pytest.mark.anyio
async def test_300_mb_of_one_room_need_little_memory_and_do_not_affect_the_others():
    async with homeserver() as url:
        client = await anyio.run_process([sys.executable, "-c", CLIENT, url], stderr=None)
    seen = json.loads(client.stdout)
    assert (seen["rooms"], seen["oversized"]) == (["!a", "!c"], ["!b"])
    assert seen["grown"] < MEMORY_BYTES


@pytest.mark.anyio
async def test_both_syncs_can_be_read_in_pieces(tmp_path):
    clock = VirtualClock()

    def in_two_pieces(request):
        if not request.path.endswith("/sync"):
            return json_response({})
        body = json.dumps(SYNC).encode()
        return HttpResponse(200, {}, b"", in_pieces(request.reader(), body, 100))

    account = Account("http://nowhere", BOT, tmp_path)
    homeserver = MatrixClient(
        account,
        on_change=lambda *change: None,
        clock=clock,
        backend=FakeBackend(clock, in_two_pieces),
    )
    async with clock.running():
        first, topology = await homeserver.initial_sync(SINCE)
        later = await homeserver.sync(SINCE)
    assert (first.token, later.token) == ("s2", "s2")
    assert "!one" in topology.rooms
    assert first.events == later.events != ()

"""A sync too long to be held is read room by room, to the same end as one that is not (contract D14, fact 24)."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from matrix import Account, MatrixHomeserver
from matrix.errors import Unreachable
from matrix.exchange import HttpAnswer
from matrix.full_state import FullStateReader, SyncReader, read_full_state
from matrix.parsing import ROOM_BYTES
from tests.matrix.fake_network import FakeNetwork, answer
from tests.matrix.raw_events import BOT, SINCE, event, text
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
    """What was read; of rooms that are no objects a whole response says a little more."""
    batch = state.batch
    odd = [each for each in batch.quarantined if each.room_id != "!odd"]
    return (
        batch.token,
        batch.facts,
        batch.gaps,
        batch.to_device,
        odd,
        state.topology,
        state.unsettled,
    )


@pytest.mark.parametrize("indent", [None, 1])
@settings(deadline=None, max_examples=200)
@given(cuts=st.lists(st.integers(0, 3000), max_size=40))
def test_a_sync_in_pieces_reads_as_a_whole_one(indent, cuts):
    body = json.dumps(SYNC, indent=indent, ensure_ascii=indent is None).encode()
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    seen = in_pieces(FullStateReader(BOT, SINCE), body, *cuts)
    whole = read_full_state(body, BOT, SINCE)
    assert parts_of(seen) == parts_of(whole)
    assert [fact.room_id for fact in seen.batch.facts] == ["!one", "!ключ", "!invited", "!left"]
    assert in_pieces(SyncReader(BOT, SINCE), body, *cuts) == seen.batch


def test_a_sync_byte_by_byte_reads_as_a_whole_one():
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
def test_a_room_that_is_hard_to_read_hides_no_other_one(hostile):
    good = json.dumps(room(text("hello", "$1"))).encode()
    body = b'{"rooms": {"join": {"!bad": %b, "!good": %b}}, "next_batch": "s"}' % (hostile, good)
    seen = in_pieces(FullStateReader(BOT, SINCE), body, 100, 40_000)
    assert [fact.room_id for fact in seen.batch.facts] == ["!good"]
    assert "!good" in seen.topology.rooms


@pytest.mark.parametrize("streamed", [True, False])
def test_a_room_that_is_too_large_is_left_out_and_told(streamed):
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
    assert [fact.room_id for fact in seen.batch.facts] == ["!one"]
    (told,) = seen.batch.quarantined
    assert (told.source, told.room_id) == ("sync", "!large")
    assert str(ROOM_BYTES) in told.reason


def test_an_invitation_that_is_too_large_is_left_out_and_told():
    invite = {"!large": {"invite_state": {"events": ["x" * ROOM_BYTES]}}, "!ok": INVITED}
    body = json.dumps({"next_batch": "s", "rooms": {"invite": invite}}).encode()
    batch = in_pieces(SyncReader(BOT, SINCE), body, *range(MB, len(body), MB))
    assert [fact.room_id for fact in batch.facts] == ["!ok"]
    assert [told.room_id for told in batch.quarantined] == ["!large"]


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
def test_what_is_no_whole_sync_of_a_homeserver_is_none(body):
    with pytest.raises(Unreachable):
        in_pieces(SyncReader(BOT, SINCE), body)


def test_a_text_without_end_is_not_held():
    reader = SyncReader(BOT, SINCE)
    reader.feed(b'{"next_batch": "s", "rooms": {"join": {"!a": {"x": "')
    with pytest.raises(Unreachable, match="too long"):
        in_pieces(reader, b"x" * (ROOM_BYTES + 2 * MB), *range(MB, ROOM_BYTES, MB))


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
from matrix.calls import Call
from matrix.clock import SystemClock
from matrix.exchange import NioExchange
from matrix.full_state import FullStateReader, read_full_state
from matrix.transport import Transport

BOT = UserId("@bot:localhost")

def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main(url):
    exchange = NioExchange(url)
    transport = Transport(exchange, SystemClock(), lambda *change: None)
    transport.use_token("token")
    before = peak_bytes()
    seen = await transport.request(Call(
        "GET", "/sync", lane="sync", timeout_s=120.0, patient=True, long_poll=True,
        read=lambda body: read_full_state(body, BOT, None),
        stream=lambda: FullStateReader(BOT, None),
    ))
    await exchange.aclose()
    print(json.dumps({
        "grown": peak_bytes() - before,
        "rooms": sorted(seen.topology.rooms),
        "oversized": sorted(seen.topology.unread),
    }))

anyio.run(main, sys.argv[1])
"""


@asynccontextmanager
async def homeserver() -> AsyncIterator[str]:
    """Answer each sync with three rooms, of which the one in the middle is 300 MB."""

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
async def test_300_mb_of_one_room_take_little_memory_and_hide_no_other_room():
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
            return answer({})
        body = json.dumps(SYNC).encode()
        return HttpAnswer(200, {}, b"", in_pieces(request.stream(), body, 100))

    account = Account("http://nowhere", BOT, tmp_path)
    homeserver = MatrixHomeserver(
        account,
        on_change=lambda *change: None,
        clock=clock,
        exchange=FakeNetwork(clock, in_two_pieces),
    )
    async with clock.running():
        first, topology = await homeserver.initial_sync(SINCE)
        later = await homeserver.sync(SINCE)
    assert (first.token, later.token) == ("s2", "s2")
    assert "!one" in topology.rooms
    assert first.facts == later.facts != ()

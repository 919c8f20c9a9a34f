"""Malformed events of every kind in a sync response: quarantined, counted, harmless to other events (contract D9)."""

import json
import sqlite3
from contextlib import closing

import pytest

from tests.support.proxy import Answer, Change
from tests.system.faults.fault_fixture import syncs

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
DEEP: dict[str, object] = {}
for _ in range(200):
    DEEP = {"deeper": DEEP}


def message(**wrong):
    """Return a valid message with the given changes; `None` leaves a key out."""
    event = {
        "type": "m.room.message",
        "event_id": "$not-there",
        "sender": "@somebody:localhost",
        "origin_server_ts": 1_700_000_000_000,
        "content": {"msgtype": "m.text", "body": "hello"},
    }
    return {key: value for key, value in (event | wrong).items() if value is not None}


EVENTS: tuple[object, ...] = (
    None,
    7,
    "an event",
    [],
    {},
    message(type=5),
    message(event_id=None),
    message(event_id=12),
    message(event_id="$" + "x" * 300),
    message(event_id="$\ud800"),
    message(sender=None),
    message(sender="somebody"),
    message(sender=["@somebody:localhost"]),
    message(origin_server_ts="now"),
    message(origin_server_ts=-1),
    message(origin_server_ts=2**70),
    message(content="text"),
    message(content=[]),
    message(content={}),
    message(content={"msgtype": "m.text"}),
    message(content={"msgtype": "m.text", "body": 5}),
    message(content={"msgtype": ["m.text"], "body": "hello"}),
    message(content={"msgtype": "m.file"}),
    message(content={"msgtype": "m.text", "body": "hello", "m.relates_to": "yes"}),
    message(type="m.room.encrypted", content={}),
    message(type="m.room.encrypted", content={"algorithm": 1, "ciphertext": DEEP}),
    message(type="m.room.member", state_key=9, content={"membership": "join"}),
    message(type="m.room.member", state_key="@x:localhost", content={"membership": "god"}),
)
DAMAGES = {
    "timeline": lambda room: {"rooms": {"join": {room: {"timeline": {"events": [*EVENTS]}}}}},
    "state": lambda room: {"rooms": {"join": {room: {"state": {"events": [*EVENTS]}}}}},
    "no state": lambda room: {"rooms": {"join": {room: {"state": {"events": {}}}}}},
    "ephemeral": lambda room: {"rooms": {"join": {room: {"ephemeral": {"events": [*EVENTS]}}}}},
    "account data": lambda room: {"rooms": {"join": {room: {"account_data": {"events": 7}}}}},
    "joined rooms": lambda _: {"rooms": {"join": {"no room": {}, "!r:localhost": 7, "": None}}},
    "invitations": lambda _: {
        "rooms": {
            "invite": {
                "no room": {},
                "!a:localhost": None,
                "!b:localhost": {"invite_state": 7},
                "!c:localhost": {"invite_state": {"events": [*EVENTS]}},
            }
        }
    },
    "left rooms": lambda _: {
        "rooms": {"leave": {"no room": {}, "!a:localhost": {"timeline": {"events": [*EVENTS]}}}}
    },
    "to-device messages": lambda _: {
        "to_device": {"events": [*EVENTS, {"type": "m.room.encrypted", "content": DEEP}]}
    },
    "no to-device messages": lambda _: {"to_device": ["events"]},
}
SILENT = {"state", "ephemeral", "account data"}
"""Only `m.room.encryption` is used of these: content that is never read can't be malformed."""


def with_poison(body, poison):
    """Put malformed events into a sync response, before and after its events."""
    answer = json.loads(body)
    merge(answer, poison)
    return json.dumps(answer).encode()


def merge(into, more):
    for key, value in more.items():
        known = into.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            into[key] = [*value, *known, *value]
        else:
            into[key] = value


def set_apart(setup):
    """Return the number of rows in quarantine."""
    path = setup.daemon.directory / "lambda_matrix.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
        return raw.execute("SELECT total(times) FROM quarantine").fetchone()[0]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_malformed_events_are_quarantined_and_their_neighbours_are_answered(setup, damage):
    poison = DAMAGES[damage](setup.onboarded.chat)
    poisoned = 0

    def spoil(body):
        nonlocal poisoned
        if setup.onboarded.chat.encode() not in body:
            return body
        poisoned += 1
        return with_poison(body, poison)

    before = set_apart(setup)
    setup.proxy.fault = lambda proxied: Change(spoil) if syncs(proxied) else None
    # The long poll in progress is not changed.
    first = await setup.send_text("am I beside it?")
    assert await setup.only_answer(first) == "echo: am I beside it?"
    beside = [await setup.send_text(f"and I, {number}?") for number in range(3)]
    for number, message_id in enumerate(beside):
        assert await setup.only_answer(message_id) == f"echo: and I, {number}?"
    assert poisoned
    setup.proxy.clear_fault()
    await setup.assert_next_is_answered()
    found = set_apart(setup) - before
    assert (found > 0) is (damage not in SILENT)
    # Not every line is written, because outsiders can cause any number of them.
    assert sum(line["times"] for line in setup.logged("event_quarantined")) <= found
    assert setup.logged("actor_fault") == []
    assert setup.daemon.running


NO_SYNCS = {
    "nothing in it": b"{}",
    "the same token, and rooms that are a list": b'{"next_batch":"s1","rooms":[]}',
}


@pytest.mark.parametrize("body", NO_SYNCS.values(), ids=NO_SYNCS)
async def test_malformed_sync_responses_do_not_cause_a_request_loop(setup, body):
    setup.proxy.fault = lambda proxied: Answer(200, body, JSON) if syncs(proxied) else None
    # Ends the unchanged long poll.
    first = await setup.send_text("a last good sync")
    await setup.only_answer(first)
    await setup.proxy.wait_until(lambda: len(setup.faulted) >= 3)
    times = [proxied.at for proxied in setup.faulted]
    asked = await setup.send_text("is it better now?")
    setup.proxy.clear_fault()
    assert await setup.only_answer(asked) == "echo: is it better now?"
    assert times[-1] - times[0] >= 0.95

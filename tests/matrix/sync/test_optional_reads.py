"""Reads that stand before the journal: one slow room does not slow down everybody's sync (contract D14)."""

import time

import anyio
import pytest

from machines.events.matrix import MessageArrived
from machines.ids import EventId, RoomId, UserId
from matrix.sync import optional_reads
from matrix.sync.addressing import mark_replies_to_bot
from matrix.sync.emotes import name_senders
from matrix.sync.optional_reads import SLOW_ROOM_PAUSE_S, OptionalReads
from tests.matrix.raw_events import BOT, ME, ROOM
from tests.matrix.virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

SLOW = RoomId("!partly-joined:far")


class Homeserver:
    """It answers for every room but `SLOW`."""

    def __init__(self) -> None:
        self.rooms: list[str] = []

    async def get(self, *path: str, absent: object) -> object:
        self.rooms.append(path[1])
        if path[1] == SLOW:
            await anyio.sleep_forever()
        return {"displayname": "A Name", "sender": BOT, "room_id": path[1]}


def emote(room_id: RoomId) -> MessageArrived:
    return MessageArrived(room_id, EventId("$1"), ME, "* me waves", 5, emote=True)


def reply(room_id: RoomId) -> MessageArrived:
    return MessageArrived(room_id, EventId("$2"), ME, "yes", 5, replies_to=EventId("$0"))


@pytest.fixture(autouse=True)
def short_wait(monkeypatch):
    monkeypatch.setattr(optional_reads, "READ_WITHIN_S", 0.05)


async def test_a_slow_room_is_waited_for_once_and_holds_up_no_later_sync():
    clock, server = VirtualClock(), Homeserver()
    reads = OptionalReads(server, clock)
    first, second = await name_senders(reads, (emote(SLOW), emote(ROOM)))
    assert isinstance(first, MessageArrived)
    assert isinstance(second, MessageArrived)
    assert (first.body, second.body) == ("* me waves", "* A Name waves")
    began_at = time.monotonic()
    for _ in range(20):
        await name_senders(reads, (emote(SLOW),))
        await mark_replies_to_bot(reads, BOT, (), (reply(SLOW),))
    assert time.monotonic() - began_at < 0.05
    assert server.rooms.count(SLOW) == 1


async def test_a_slow_room_is_read_again_later():
    clock, server = VirtualClock(), Homeserver()
    reads = OptionalReads(server, clock)
    await name_senders(reads, (emote(SLOW),))
    async with clock.running():
        await clock.sleep(SLOW_ROOM_PAUSE_S + 1)
    await name_senders(reads, (emote(SLOW),))
    assert server.rooms.count(SLOW) == 2


async def test_a_reply_to_the_bot_in_another_room_is_addressed_meanwhile():
    reads = OptionalReads(Homeserver(), VirtualClock())
    slow, other = await mark_replies_to_bot(reads, UserId(BOT), (), (reply(SLOW), reply(ROOM)))
    assert isinstance(slow, MessageArrived)
    assert isinstance(other, MessageArrived)
    assert (slow.addressed, other.addressed) == (False, True)

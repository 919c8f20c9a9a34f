"""Key messages of people who may not talk to the bot are counted and not kept (contract Y5)."""

from actors.strangers import without_strangers
from machines.facts import KeyMessage, SyncBatch
from machines.ids import SyncToken, UserId
from machines.world import Access
from tests.actors.fakes import House
from tests.idle_loop import settle
from tests.machines.support import ANNA, BOT, STRANGER


def batch(*senders: UserId) -> SyncBatch:
    messages = tuple(KeyMessage(sender, "m.room.encrypted", "{}") for sender in senders)
    return SyncBatch(SyncToken("s1"), to_device=messages)


def test_each_stranger_is_one_line():
    kept = without_strangers(batch(ANNA, STRANGER, STRANGER, ANNA), Access(BOT))
    assert [each.sender for each in kept.to_device] == [ANNA, ANNA]
    (line,) = kept.quarantined
    assert (line.source, line.sender, line.times) == ("to_device", STRANGER, 2)


def test_a_batch_without_strangers_stays_as_it_is():
    mine = batch(ANNA)
    assert without_strangers(mine, Access(BOT)) is mine


def test_the_bots_own_account_is_no_stranger():
    mine = batch(BOT)
    assert without_strangers(mine, Access(BOT)) is mine


async def test_the_bot_keeps_nothing_of_theirs(house: House):
    async with house.living():
        house.homeserver.brings(batch(ANNA, STRANGER))
        await settle()
    assert house.database.rows("SELECT sender FROM to_device") == [(ANNA,)]
    assert house.database.rows("SELECT sender FROM quarantine") == [(STRANGER,)]

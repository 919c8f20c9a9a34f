"""Key messages of people who may not talk to the bot are counted and not kept (contract Y5)."""

from machines.facts import KeyMessage, SyncBatch
from machines.ids import SyncToken, UserId
from tests.actors.fakes import House, settle
from tests.machines.support import ANNA, STRANGER


def batch(*senders: UserId) -> SyncBatch:
    messages = tuple(KeyMessage(sender, "m.room.encrypted", "{}") for sender in senders)
    return SyncBatch(SyncToken("s1"), to_device=messages)


async def test_the_bot_keeps_nothing_of_theirs(house: House):
    async with house.living():
        house.homeserver.brings(batch(ANNA, STRANGER))
        await settle()
    assert house.database.rows("SELECT sender FROM to_device") == [(ANNA,)]
    assert house.database.rows("SELECT sender FROM quarantine") == [(STRANGER,)]

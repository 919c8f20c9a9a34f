"""Key messages of people who may not talk to the bot: nothing of theirs is ever read, so nothing is kept (Y5, D14).

What the bot's own account sends from another of its devices is no stranger's.
"""

from collections import Counter

from msgspec.structs import replace

from machines.facts import Quarantined, SyncBatch
from machines.world import Access


def without_strangers(batch: SyncBatch, access: Access) -> SyncBatch:
    """Return a batch without their key messages, which are counted instead: one line for each sender."""
    dropped = Counter(
        each.sender
        for each in batch.to_device
        if each.sender != access.bot and not access.allows(each.sender)
    )
    if not dropped:
        return batch
    reason = "a key message of somebody who may not talk to the bot"
    counted = tuple(
        Quarantined("to_device", None, None, reason, sender, times)
        for sender, times in dropped.items()
    )
    kept = tuple(each for each in batch.to_device if each.sender not in dropped)
    return replace(batch, to_device=kept, quarantined=(*batch.quarantined, *counted))

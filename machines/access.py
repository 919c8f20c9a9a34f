"""Who may talk to the bot, and what happens to the key messages of everybody else (contracts E3, Y5, D14)."""

from collections import Counter
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from machines.facts import Quarantined, SyncBatch
from machines.ids import UserId, server_of


class Access(Struct, frozen=True):
    """Who may talk to the bot: full Matrix ids or globs; by default users of its own server (contract E3)."""

    bot: UserId
    allowed: tuple[str, ...] = ()

    def allows(self, user_id: UserId) -> bool:
        """Whether this user may talk to the bot. Decides by the Matrix id alone, never by a display name."""
        if user_id == self.bot:
            return False
        if not self.allowed:
            return server_of(user_id) == server_of(self.bot)
        # The address of a server without a name has brackets, which mean something else in a glob.
        return user_id in self.allowed or any(
            fnmatchcase(user_id, pattern) for pattern in self.allowed
        )


def without_strangers(batch: SyncBatch, access: Access) -> SyncBatch:
    """Return a batch without the key messages of users who may not talk to the bot.

    Nothing of theirs is ever read, so nothing is kept: they are counted in one quarantine entry for each sender. The
    bot's own account is no stranger: another of its devices may send it keys.
    """
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

"""Who may talk to the bot (contract E3)."""

from fnmatch import fnmatchcase

from msgspec import Struct

from machines.ids import UserId, server_of


class Access(Struct, frozen=True):
    """The allowed users: full Matrix ids or globs; by default the users of the bot's server."""

    bot: UserId
    allowed: tuple[str, ...] = ()

    def allows(self, user_id: UserId) -> bool:
        """Whether this user may talk to the bot. Decides by the Matrix id alone, never by a display name."""
        if user_id == self.bot:
            return False
        if not self.allowed:
            return server_of(user_id) == server_of(self.bot)
        # A literal IPv6 address of a server has brackets, which have another meaning in a glob.
        return user_id in self.allowed or any(
            fnmatchcase(user_id, pattern) for pattern in self.allowed
        )

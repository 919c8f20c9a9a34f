"""`!soul [text]`: the user's instructions about how the agent should behave (contract K4)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import SavePreferences
from machines.user.preferences import MAX_SOUL_LENGTH

NONE = frozenset({"-", "none", "off"})
"""Arguments that remove the soul."""


class Soul(Command):
    """Shows, sets or removes the soul."""

    name = "soul"
    group = "settings"

    @property
    def waits(self) -> bool:
        """Whether the soul changes; showing it does not wait."""
        return bool(self.argument)

    @property
    def is_private(self) -> bool:
        """Whether the soul is shown."""
        return not self.argument

    def apply(self, ctx: CommandContext) -> Applied:
        """Show the soul, or set it for all later messages."""
        catalog, preferences = ctx.catalog, ctx.preferences
        if not self.argument:
            return ctx.only_answer(catalog.soul_shown(preferences.soul))
        if len(self.argument) > MAX_SOUL_LENGTH:
            return ctx.only_answer(catalog.soul_too_long(MAX_SOUL_LENGTH))
        soul = "" if self.argument.lower() in NONE else self.argument
        text = catalog.soul_set() if soul else catalog.soul_cleared()
        save = SavePreferences(ctx.sender, replace(preferences, soul=soul))
        return Applied(ctx.room, (save, ctx.answer(text)))

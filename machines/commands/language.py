"""`!language [en|ru]`: the language of the bot's sentences for this user (contract K13)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import SavePreferences


class Language(Command):
    """Shows the languages, or selects one; it applies at once, in all rooms of the user."""

    name = "language"
    group = "settings"

    def apply(self, ctx: CommandContext) -> Applied:
        """Show the languages, or store the selected one; the answer is in that language."""
        catalogs = ctx.step.catalogs
        choices = tuple(catalogs.values())
        if not self.argument:
            return ctx.only_answer(ctx.catalog.language_shown(choices))
        wanted = self.argument.casefold()
        for locale, catalog in catalogs.items():
            if wanted in {locale, catalog.language_name().casefold()}:
                chosen = replace(ctx.preferences, language=locale)
                save = SavePreferences(ctx.sender, chosen)
                return Applied(ctx.room, (save, ctx.answer(catalog.language_set())))
        return ctx.only_answer(ctx.catalog.language_unknown(self.argument, choices))

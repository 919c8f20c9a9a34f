"""`!settings`: shows the settings; other commands change them (contract K4)."""

from machines.commands.agent import selected_agent
from machines.commands.base import Applied, Command, CommandContext


class Settings(Command):
    """Shows the user's preferences."""

    name = "settings"
    group = "settings"
    is_private = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the page."""
        preferences = ctx.preferences
        skills, safety = preferences.switches("skills"), preferences.switches("safety")
        page = ctx.catalog.settings_page(
            ctx.step.agents.label(selected_agent(ctx)),
            tuple(name for name, on in skills.items() if on),
            preferences.soul,
            tuple(name for name, on in safety.items() if on),
        )
        return ctx.only_answer(page)

"""Any other `!name`: answered with one line that mentions `!help` (contract K1)."""

from machines.commands.base import Applied, Command, CommandContext


class Unknown(Command):
    """A command that does not exist; `argument` is its name without the `!`."""

    def apply(self, ctx: CommandContext) -> Applied:
        """Answer that there is no such command."""
        return ctx.only_answer(ctx.catalog.unknown_command(self.argument))

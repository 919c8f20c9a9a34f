"""`!help`: lists the commands."""

from machines.commands.base import Applied, Command, CommandContext


class Help(Command):
    """Lists all commands."""

    name = "help"

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the list."""
        # Imported here because `machines.commands` imports this module.
        from machines.commands import COMMANDS

        return ctx.only_answer(ctx.catalog.help(tuple(COMMANDS)))

"""`!help`: lists the commands."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, CommandContext


@dataclass(frozen=True, slots=True)
class Help(Command):
    """Lists all commands."""

    name: ClassVar[str] = "help"

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the list."""
        # Imported here because `machines.commands` imports this module.
        from machines.commands import COMMANDS

        return ctx.only_answer(ctx.catalog.help(tuple(COMMANDS)))

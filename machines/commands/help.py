"""`!help`: lists the commands in groups (contract K13)."""

from typing import get_args

from machines.commands.base import Applied, Command, CommandContext, HelpGroup


class Help(Command):
    """Lists the commands that work in this room."""

    name = "help"
    group = "settings"

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the list."""
        # Imported here because `machines.commands` imports this module.
        from machines.commands import COMMANDS

        working = [command for command in COMMANDS.values() if _works(command, ctx)]
        groups: dict[str, list[str]] = {group: [] for group in get_args(HelpGroup)}
        for command in working:
            groups[command.group].append(command.name)
        takes_text = ctx.is_chat and not ctx.is_archived
        return ctx.only_answer(ctx.catalog.help(groups, takes_text=takes_text))


def _works(command: type[Command], ctx: CommandContext) -> bool:
    """Whether a command without an argument works in this room."""
    if command.chats_only:
        return ctx.is_chat and (command.works_archived or not ctx.is_archived)
    return not (ctx.room.has_other_readers and command("").is_private)

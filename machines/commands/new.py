"""`!new [name]`: creates another chat in the user's Space (contract K2)."""

from machines.commands.base import Applied, Command, CommandContext
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.events.effects import Tell
from machines.events.internal import NewChatRequested
from machines.ids import ActorKey


class New(Command):
    """Sends the request to the user's actor, which answers when the chat exists."""

    name = "new"

    def apply(self, ctx: CommandContext) -> Applied:
        """Send the request, or refuse a name that is too long."""
        name = one_line(self.argument)
        if len(name) > MAX_NAME_LENGTH:
            return ctx.only_answer(ctx.catalog.name_too_long(MAX_NAME_LENGTH))
        return Applied(
            ctx.room, (Tell(ActorKey(ctx.sender), NewChatRequested(ctx.reply_to, name)),)
        )

"""`!chats`: lists number, name, agent and state of each chat (contract K3)."""

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import Tell
from machines.events.internal import ChatListRequested
from machines.ids import ActorKey


class Chats(Command):
    """Sends the request to the user's actor, which has the list of chats."""

    name = "chats"
    is_private = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Send the request."""
        return Applied(ctx.room, (Tell(ActorKey(ctx.sender), ChatListRequested(ctx.reply_to)),))

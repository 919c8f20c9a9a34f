"""`!chats`: lists number, name, agent and state of each chat (contract K3)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import Tell
from machines.events.internal import ChatListRequested
from machines.ids import ActorKey


@dataclass(frozen=True, slots=True)
class Chats(Command):
    """Sends the request to the user's actor, which has the list of chats."""

    name: ClassVar[str] = "chats"
    is_private: ClassVar[bool] = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Send the request."""
        return Applied(ctx.room, (Tell(ActorKey(ctx.sender), ChatListRequested(ctx.reply_to)),))

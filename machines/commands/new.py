"""`!new [name]`: another chat in the user's Space (contract K2)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, CommandContext
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.events.effects import Tell
from machines.events.internal import NewChatRequested
from machines.ids import ActorKey


@dataclass(frozen=True, slots=True)
class New(Command):
    """Asks the user's actor for a chat; the answer comes when the chat exists."""

    name: ClassVar[str] = "new"

    def apply(self, ctx: CommandContext) -> Applied:
        """Pass the request on."""
        name = one_line(self.argument)
        if len(name) > MAX_NAME_LENGTH:
            return ctx.only_answer(ctx.catalog.name_too_long(MAX_NAME_LENGTH))
        return Applied(
            ctx.room, (Tell(ActorKey(ctx.sender), NewChatRequested(ctx.reply_to, name)),)
        )

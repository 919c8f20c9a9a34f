"""`!open <number>`: brings a chat back, one that is archived or that its owner left (contract K12)."""

import re

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import Effect, Tell
from machines.events.internal import OpenChatRequested
from machines.ids import ActorKey
from machines.room.binding import chat_number

_NUMBER = re.compile(r"[Cc]?([1-9][0-9]{0,8})", re.ASCII)


class Open(Command):
    """Sends the request to the user's actor, which has the list of chats."""

    name = "open"
    group = "chats"

    @property
    def waits(self) -> bool:
        """An `!archive` before it comes first, and messages after it are answered."""
        return True

    @property
    def is_private(self) -> bool:
        """The answer names a chat."""
        return True

    def apply(self, ctx: CommandContext) -> Applied:
        """Open the chat of this room at once, so that the next message in it is answered; ask for any other."""
        match = _NUMBER.fullmatch(self.argument)
        if match is None:
            return self.wrong_usage(ctx)
        number, binding = int(match[1]), ctx.room.binding
        room, effects, reopened = ctx.room, list[Effect](), False
        if binding is not None and ctx.is_chat and chat_number(binding.chat_id) == number:
            reopened = binding.archived
            if reopened:
                room, order = ctx.rebind(replace(binding, archived=False))
                effects.append(order)
        request = OpenChatRequested(ctx.reply_to, number, reopened)
        return Applied(room, (*effects, Tell(ActorKey(ctx.sender), request)))

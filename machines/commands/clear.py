"""`!clear`, also `!reset`: this chat continues with an empty context (contract K6)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import ReservePlatformChatId
from machines.room.chat_context import ChatContext


class Clear(Command):
    """Gives the chat a new context, and cancels the call in the old one."""

    name = "clear"
    group = "chat"
    chats_only = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Bind the next `platform_chat_id`; the old one is never used again."""
        binding = ctx.room.binding
        if self.argument:
            return self.no_argument(ctx)
        if binding is None:
            return ctx.only_answer(ctx.catalog.only_in_chat(self.name))
        fresh = ctx.step.next_platform_chat_id
        room, order = ctx.rebind(replace(binding, platform_chat_id=fresh))
        saves = room.chat_context.saves
        room = replace(room, chat_context=ChatContext(saves=saves))
        text = ctx.catalog.context_cleared(has_saves=bool(saves))
        effects = (ReservePlatformChatId(fresh), order, ctx.answer(text))
        return Applied(room, effects, stops_turn=True)

"""`!archive`: the chat stays in the Space, and its messages are no longer answered (contract K3)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext


class Archive(Command):
    """Marks the chat archived."""

    name = "archive"
    group = "chat"
    chats_only = True

    @property
    def waits(self) -> bool:
        """Whether the chat is archived: the messages before the command are still answered."""
        return not self.argument

    def apply(self, ctx: CommandContext) -> Applied:
        """Mark the chat in its row and on the homeserver."""
        catalog, binding = ctx.catalog, ctx.room.binding
        if self.argument:
            return self.no_argument(ctx)
        if binding is None:
            return ctx.only_answer(catalog.only_in_chat(self.name))
        room, order = ctx.rebind(replace(binding, archived=True))
        return Applied(room, (order, ctx.answer(catalog.archived_now(ctx.chat_number))))

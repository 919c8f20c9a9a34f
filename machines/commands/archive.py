"""`!archive`: the chat stays in the Space, and its messages are no longer answered (contract K3)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext


class Archive(Command):
    """Marks the chat archived."""

    name = "archive"
    chats_only = True
    waits = True  # the messages before it are still answered

    def apply(self, ctx: CommandContext) -> Applied:
        """Mark the chat in its row and on the homeserver."""
        catalog, binding = ctx.catalog, ctx.room.binding
        if binding is None or binding.archived:
            return ctx.only_answer(catalog.already_archived())
        room, order = ctx.rebind(replace(binding, archived=True))
        return Applied(room, (order, ctx.answer(catalog.archived_now())))

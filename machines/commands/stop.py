"""`!stop`: ends the current answer at once (contract K9)."""

from machines.commands.base import Applied, Command, CommandContext


class Stop(Command):
    """Ends the current turn; its reply ends with the text so far and is marked as stopped."""

    name = "stop"
    group = "chat"
    chats_only = True
    works_archived = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Stop the turn; its reply says that it is stopped, and the answer to the command what comes next."""
        if ctx.turn is None:
            return ctx.only_answer(ctx.catalog.nothing_to_stop())
        return Applied(
            ctx.room, (ctx.answer(ctx.catalog.stop_done(ctx.others_wait)),), stops_turn=True
        )

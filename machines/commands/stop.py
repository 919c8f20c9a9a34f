"""`!stop`: ends the current answer at once (contract K9)."""

from machines.commands.base import Applied, Command, CommandContext


class Stop(Command):
    """Ends the current turn; its reply ends with the text so far and is marked as stopped."""

    name = "stop"
    chats_only = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Stop the turn and confirm it."""
        if ctx.turn is None:
            return ctx.only_answer(ctx.catalog.nothing_to_stop())
        return Applied(ctx.room, (ctx.answer(ctx.catalog.stop_done()),), stops_turn=True)

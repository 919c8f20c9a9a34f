"""`!rename <name>`: renames the room and the chat (contract K3)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.events.effects import Enqueue
from machines.events.orders import CompleteRoom, NameRoom
from machines.ids import AgentId, TxnId


class Rename(Command):
    """Gives the chat another name."""

    name = "rename"
    group = "chat"
    chats_only = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Set the name in the row and on the homeserver."""
        catalog, name = ctx.catalog, one_line(self.argument)
        if not name:
            return self.wrong_usage(ctx)
        if len(name) > MAX_NAME_LENGTH:
            return ctx.only_answer(catalog.name_too_long(MAX_NAME_LENGTH))
        room_id, binding = ctx.room.room_id, ctx.room.binding
        effects = [Enqueue(NameRoom(room_id, name), TxnId(f"{ctx.event_id}.name"))]
        if binding is not None and binding.space_id is not None:
            topic = catalog.chat_topic(ctx.step.agents.label(binding.agent_id or AgentId("")))
            complete = CompleteRoom(room_id, binding.space_id, topic)
            effects.append(Enqueue(complete, TxnId(f"{ctx.event_id}.complete")))
        answer = ctx.answer(catalog.renamed(name))
        return Applied(replace(ctx.room, name=name), (*effects, answer))

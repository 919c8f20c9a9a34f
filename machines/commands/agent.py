"""`!agent [number|id]`: selects the agent of new chats (contract K5)."""

from msgspec.structs import replace

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import SavePreferences
from machines.i18n import AgentLine
from machines.ids import AgentId


class Agent(Command):
    """Lists the agents, or selects one for new chats; the agent of a bound chat does not change."""

    name = "agent"
    group = "settings"

    @property
    def is_private(self) -> bool:
        """Whether the list is requested, which marks the selected agent."""
        return not self.argument

    def apply(self, ctx: CommandContext) -> Applied:
        """List or select; the selected agent is also bound to a chat without an agent."""
        known, catalog = ctx.step.agents, ctx.catalog
        agents = tuple(known.all())
        if not self.argument:
            selected = selected_agent(ctx)
            lines = (
                AgentLine(number, each, known.label(each), each == selected)
                for number, each in enumerate(agents, start=1)
            )
            return ctx.only_answer(catalog.agent_list(lines))
        chosen = _find(self.argument, agents)
        if chosen is None:
            return ctx.only_answer(catalog.agent_unknown(self.argument))
        save = SavePreferences(ctx.sender, replace(ctx.preferences, agent_id=chosen))
        label, binding = known.label(chosen), ctx.room.binding
        if binding is None or not ctx.is_chat or binding.agent_id == chosen:
            return Applied(ctx.room, (save, ctx.answer(catalog.agent_selected(label))))
        if binding.agent_id is not None:
            text = catalog.agent_bound_elsewhere(label, known.label(binding.agent_id))
            return Applied(ctx.room, (save, ctx.answer(text)))
        room, order = ctx.rebind(replace(binding, agent_id=chosen))
        return Applied(room, (save, order, ctx.answer(catalog.agent_bound_here(label))))


def selected_agent(ctx: CommandContext) -> AgentId:
    """Return the agent of new chats of the sender."""
    chosen = ctx.preferences.agent_id
    if chosen is not None and ctx.step.agents.knows(chosen):
        return chosen
    return ctx.step.agents.default_for(ctx.sender)


def _find(wanted: str, agents: tuple[AgentId, ...]) -> AgentId | None:
    if wanted in agents:
        return AgentId(wanted)
    return next((each for number, each in enumerate(agents, 1) if wanted == str(number)), None)

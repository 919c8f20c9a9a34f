"""`!agent [number|id]`: which agent new chats get (contract K5)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, only_answer
from machines.effects import SavePreferences, Send
from machines.i18n import AgentLine
from machines.ids import AgentId, TxnId
from machines.orders import StoreBinding


@dataclass(frozen=True, slots=True)
class Agent(Command):
    """Lists the agents, or selects one for chats made from now on; a bound chat is never moved."""

    name: ClassVar[str] = "agent"

    @property
    def shows_choices(self) -> bool:
        """The list marks the selected one."""
        return not self.argument

    def apply(self, place: Place) -> Applied:
        """Show or select; a chat that has no agent yet gets the selected one."""
        world, catalog = place.world, place.world.catalog
        agents = tuple(world.agents.all())
        if not self.argument:
            selected = selected_agent(place)
            lines = (
                AgentLine(number, each, world.agents.label(each), each == selected)
                for number, each in enumerate(agents, start=1)
            )
            return only_answer(place, catalog.agent_list(lines))
        chosen = _find(self.argument, agents)
        if chosen is None:
            return only_answer(place, catalog.agent_unknown(self.argument))
        keep = SavePreferences(place.sender, replace(place.preferences, agent_id=chosen))
        label, binding = world.agents.label(chosen), place.room.binding
        if binding is None or not place.is_chat or binding.agent_id == chosen:
            return Applied(place.room, (keep, place.answer(catalog.agent_selected(label))))
        if binding.agent_id is not None:
            here = world.agents.label(binding.agent_id)
            said = catalog.agent_bound_elsewhere(label, here)
            return Applied(place.room, (keep, place.answer(said)))
        bound = replace(binding, agent_id=chosen)
        order = Send(
            StoreBinding(place.room.room_id, bound.content()), TxnId(f"{place.event_id}.binding")
        )
        effects = (keep, order, place.answer(catalog.agent_bound_here(label)))
        return Applied(replace(place.room, binding=bound), effects)


def selected_agent(place: Place) -> AgentId:
    """Return the agent that a new chat of whoever asks would get."""
    chosen = place.preferences.agent_id
    if chosen is not None and place.world.agents.knows(chosen):
        return chosen
    return place.world.agents.default_for(place.sender)


def _find(wanted: str, agents: tuple[AgentId, ...]) -> AgentId | None:
    if wanted in agents:
        return AgentId(wanted)
    return next((each for number, each in enumerate(agents, 1) if wanted == str(number)), None)

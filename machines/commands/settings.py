"""`!settings`: a page to read; other commands change what stands on it (contract K4)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.agent import selected_agent
from machines.commands.base import Applied, Command, Place, only_answer


@dataclass(frozen=True, slots=True)
class Settings(Command):
    """Shows the user's choices."""

    name: ClassVar[str] = "settings"

    @property
    def shows_choices(self) -> bool:
        """The page does."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer with the page."""
        preferences = place.preferences
        skills, safety = preferences.switches("skills"), preferences.switches("safety")
        page = place.world.catalog.settings_page(
            place.world.agents.label(selected_agent(place)),
            tuple(name for name, on in skills.items() if on),
            preferences.soul,
            tuple(name for name, on in safety.items() if on),
        )
        return only_answer(place, page)

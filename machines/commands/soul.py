"""`!soul [text]`: how the agent is to be, in the user's words (contract K4)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, only_answer
from machines.effects import SavePreferences
from machines.preferences import MAX_SOUL_LENGTH

NONE = frozenset({"-", "none", "off"})
"""What takes the soul away again."""


@dataclass(frozen=True, slots=True)
class Soul(Command):
    """Shows the soul, sets it, or takes it away."""

    name: ClassVar[str] = "soul"

    @property
    def waits(self) -> bool:
        """To look at it need not wait."""
        return bool(self.argument)

    @property
    def shows_choices(self) -> bool:
        """When it is looked at."""
        return not self.argument

    def apply(self, place: Place) -> Applied:
        """Show it, or keep it for every message from now on."""
        catalog, preferences = place.world.catalog, place.preferences
        if not self.argument:
            return only_answer(place, catalog.soul_shown(preferences.soul))
        if len(self.argument) > MAX_SOUL_LENGTH:
            return only_answer(place, catalog.soul_too_long(MAX_SOUL_LENGTH))
        soul = "" if self.argument.lower() in NONE else self.argument
        said = catalog.soul_set() if soul else catalog.soul_cleared()
        keep = SavePreferences(place.sender, replace(preferences, soul=soul))
        return Applied(place.room, (keep, place.answer(said)))

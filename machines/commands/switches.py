"""`!skills`, `!skill on|off <name>` and `!safety [on|off <name>]`: the switches of a user (contract K4)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, Place, misused, only_answer
from machines.effects import SavePreferences
from machines.i18n import Switch
from machines.preferences import Group


@dataclass(frozen=True, slots=True)
class Skills(Command):
    """Lists the skills."""

    name: ClassVar[str] = "skills"

    @property
    def shows_choices(self) -> bool:
        """The list shows what is on."""
        return True

    def apply(self, place: Place) -> Applied:
        """Answer with the list."""
        return only_answer(place, place.world.catalog.skills_list(_lines(place, "skills")))


@dataclass(frozen=True, slots=True)
class Skill(Command):
    """Turns a skill on or off."""

    name: ClassVar[str] = "skill"

    @property
    def waits(self) -> bool:
        """Messages before it are sent without it."""
        return True

    def apply(self, place: Place) -> Applied:
        """Set the switch."""
        wanted = _wanted(self.argument)
        if wanted is None:
            return misused(place, self)
        on, name = wanted
        catalog, known = place.world.catalog, place.preferences.switches("skills")
        if name not in known:
            return only_answer(place, catalog.skill_unknown(name, tuple(known)))
        return _switch(place, "skills", name, on, catalog.skill_switched(name, on))


@dataclass(frozen=True, slots=True)
class Safety(Command):
    """Lists what the agent asks before it does, or turns such a question on or off."""

    name: ClassVar[str] = "safety"

    @property
    def waits(self) -> bool:
        """To look at the list need not wait."""
        return bool(self.argument)

    @property
    def shows_choices(self) -> bool:
        """The list shows what is on."""
        return not self.argument

    def apply(self, place: Place) -> Applied:
        """Answer with the list, or set the switch."""
        catalog = place.world.catalog
        if not self.argument:
            return only_answer(place, catalog.safety_list(_lines(place, "safety")))
        wanted = _wanted(self.argument)
        if wanted is None:
            return misused(place, self)
        on, name = wanted
        known = place.preferences.switches("safety")
        if name not in known:
            return only_answer(place, catalog.safety_unknown(name, tuple(known)))
        return _switch(place, "safety", name, on, catalog.safety_switched(name, on))


def _lines(place: Place, group: Group) -> list[Switch]:
    return [Switch(name, on) for name, on in place.preferences.switches(group).items()]


def _wanted(argument: str) -> tuple[bool, str] | None:
    match argument.split():
        case [position, name] if position.lower() in ("on", "off"):
            return position.lower() == "on", name.lower()
        case _:
            return None


def _switch(place: Place, group: Group, name: str, on: bool, said: str) -> Applied:
    preferences = place.preferences.switched(group, name, on)
    return Applied(place.room, (SavePreferences(place.sender, preferences), place.answer(said)))

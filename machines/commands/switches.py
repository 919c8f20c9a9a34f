"""`!skills`, `!skill on|off <name>` and `!safety [on|off <name>]`: a user's switches (contract K4)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import SavePreferences
from machines.i18n import Switch
from machines.user.preferences import Group


@dataclass(frozen=True, slots=True)
class Skills(Command):
    """Lists the skills."""

    name: ClassVar[str] = "skills"
    is_private: ClassVar[bool] = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Answer with the list."""
        return ctx.only_answer(ctx.catalog.skills_list(_lines(ctx, "skills")))


@dataclass(frozen=True, slots=True)
class Skill(Command):
    """Turns a skill on or off."""

    name: ClassVar[str] = "skill"
    waits: ClassVar[bool] = True  # messages before it are sent without the change

    def apply(self, ctx: CommandContext) -> Applied:
        """Set the switch."""
        setting = _parse_setting(self.argument)
        if setting is None:
            return self.misused(ctx)
        on, name = setting
        catalog, known = ctx.catalog, ctx.preferences.switches("skills")
        if name not in known:
            return ctx.only_answer(catalog.skill_unknown(name, tuple(known)))
        return _switch(ctx, "skills", name, on, catalog.skill_switched(name, on))


@dataclass(frozen=True, slots=True)
class Safety(Command):
    """Lists the actions for which the agent has to ask, or turns such a rule on or off."""

    name: ClassVar[str] = "safety"

    @property
    def waits(self) -> bool:
        """To show the list changes nothing, so it does not wait."""
        return bool(self.argument)

    @property
    def is_private(self) -> bool:
        """The list shows which rules are on."""
        return not self.argument

    def apply(self, ctx: CommandContext) -> Applied:
        """Answer with the list, or set the switch."""
        catalog = ctx.catalog
        if not self.argument:
            return ctx.only_answer(catalog.safety_list(_lines(ctx, "safety")))
        setting = _parse_setting(self.argument)
        if setting is None:
            return self.misused(ctx)
        on, name = setting
        known = ctx.preferences.switches("safety")
        if name not in known:
            return ctx.only_answer(catalog.safety_unknown(name, tuple(known)))
        return _switch(ctx, "safety", name, on, catalog.safety_switched(name, on))


def _lines(ctx: CommandContext, group: Group) -> list[Switch]:
    return [Switch(name, on) for name, on in ctx.preferences.switches(group).items()]


def _parse_setting(argument: str) -> tuple[bool, str] | None:
    match argument.split():
        case [position, name] if position.lower() in ("on", "off"):
            return position.lower() == "on", name.lower()
        case _:
            return None


def _switch(ctx: CommandContext, group: Group, name: str, on: bool, text: str) -> Applied:
    preferences = ctx.preferences.switched(group, name, on)
    return Applied(ctx.room, (SavePreferences(ctx.sender, preferences), ctx.answer(text)))

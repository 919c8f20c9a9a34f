"""`!skills`, `!skill on|off <name>` and `!safety [on|off <name>]`: list and set switches (contract K4)."""

from collections.abc import Callable

from machines.commands.base import Applied, Command, CommandContext
from machines.events.effects import SavePreferences
from machines.i18n import Switch
from machines.user.preferences import Group


class Skills(Command):
    """Lists the skills."""

    name = "skills"
    group = "settings"
    is_private = True

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the list."""
        return ctx.only_answer(ctx.catalog.skills_list(_lines(ctx, "skills")))


class Skill(Command):
    """Turns a skill on or off."""

    name = "skill"
    group = "settings"
    waits = True  # the messages before it are sent without the change

    def apply(self, ctx: CommandContext) -> Applied:
        """Set the switch."""
        catalog = ctx.catalog
        return _set_switch(self, ctx, "skills", catalog.skill_switched, catalog.skill_unknown)


class Safety(Command):
    """Lists the actions that need a confirmation, or turns such a rule on or off."""

    name = "safety"
    group = "settings"

    @property
    def waits(self) -> bool:
        """Whether a rule changes; showing the list does not wait."""
        return bool(self.argument)

    @property
    def is_private(self) -> bool:
        """Whether the list is shown."""
        return not self.argument

    def apply(self, ctx: CommandContext) -> Applied:
        """Return the list, or set the switch."""
        catalog = ctx.catalog
        if not self.argument:
            return ctx.only_answer(catalog.safety_list(_lines(ctx, "safety")))
        return _set_switch(self, ctx, "safety", catalog.safety_switched, catalog.safety_unknown)


def _lines(ctx: CommandContext, group: Group) -> list[Switch]:
    return [Switch(name, on) for name, on in ctx.preferences.switches(group).items()]


def _set_switch(
    command: Command,
    ctx: CommandContext,
    group: Group,
    switched: Callable[[str, bool], str],
    unknown: Callable[[str, tuple[str, ...]], str],
) -> Applied:
    match command.argument.lower().split():
        case ["on" | "off" as position, name]:
            known = ctx.preferences.switches(group)
            if name not in known:
                return ctx.only_answer(unknown(name, tuple(known)))
            save = SavePreferences(
                ctx.sender, ctx.preferences.switched(group, name, position == "on")
            )
            return Applied(ctx.room, (save, ctx.answer(switched(name, position == "on"))))
        case _:
            return command.wrong_usage(ctx)

"""`!help`: what one can do here."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, Place, only_answer


@dataclass(frozen=True, slots=True)
class Help(Command):
    """Lists the commands there are."""

    name: ClassVar[str] = "help"

    def apply(self, place: Place) -> Applied:
        """Answer with the list."""
        # The table of commands imports this file; the names are only known once it is whole.
        from machines.commands import COMMANDS

        return only_answer(place, place.world.catalog.help(tuple(COMMANDS)))

"""Any other `!word`: one line that names `!help` (contract K1)."""

from dataclasses import dataclass

from machines.commands.base import Applied, Command, Place, only_answer


@dataclass(frozen=True, slots=True)
class Unknown(Command):
    """A command that does not exist; `argument` is the word after the `!`."""

    def apply(self, place: Place) -> Applied:
        """Say so."""
        return only_answer(place, place.world.catalog.unknown_command(self.argument))
